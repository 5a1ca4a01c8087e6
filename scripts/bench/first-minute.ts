/**
 * What a newcomer does, each step timed: `node first-minute.ts <folder> <caches> [offline]` clones this checkout's HEAD into
 * the folder, installs, starts, waits for the first model, asks it something. Prints one JSON object.
 */

import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { ended, firstLine, leaveNothing, NODE, ROOT, start, until } from './processes.ts';

export interface FirstMinute {
  readonly cloneMs: number;
  readonly installMs: number;
  /** From `npm start` to the API's answer. */
  readonly readyMs: number;
  /** From then to the first model that this machine runs, download included. */
  readonly modelMs: number;
  /** From the question to the first word of the answer. */
  readonly firstTokenMs: number;
  /** From the clone to that word. */
  readonly totalMs: number;
  readonly model: string;
  readonly answer: string;
}

const MODEL_WITHIN_MS = 300_000;
const QUESTION = 'What is the capital of France?';

export async function firstMinute(folder: string, caches: string, offline: boolean): Promise<FirstMinute> {
  const env = newcomer(caches);
  const checkout = path.join(folder, 'gogrid');
  mkdirSync(folder, { recursive: true });
  const beganAt = performance.now();
  const cloneMs = await timed(() => run('git', ['clone', '--quiet', ROOT, checkout], { cwd: folder, env }));
  const install = ['ci', '--silent', '--no-audit', '--no-fund', ...(offline ? ['--offline'] : [])];
  const installMs = await timed(() => run('npm', install, { cwd: checkout, env }));
  const startedAt = performance.now();
  const home = path.join(folder, 'home');
  const node = start('npm', ['start', '--silent', '--', '--json', '--home', home], {
    cwd: checkout,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  node.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000);
  });
  try {
    const { api } = JSON.parse(await firstLine(node)) as { api: string };
    const readyMs = performance.now() - startedAt;
    let model = '';
    const modelMs = await timed(async () => {
      model = await firstModel(api);
    });
    const askedMs = performance.now() - beganAt;
    const { firstTokenMs, answer } = await ask(api, model);
    const totalMs = askedMs + firstTokenMs;
    return { cloneMs, installMs, readyMs, modelMs, firstTokenMs, totalMs, model, answer };
  } catch (error) {
    throw new Error(`the node said last: ${said.trim()}`, { cause: error });
  } finally {
    await ended(node);
  }
}

/** A machine where nothing was ever installed or downloaded, but for what lies in `caches`. */
function newcomer(caches: string): NodeJS.ProcessEnv {
  const isOurs = (name: string) =>
    /^(GOGRID_|OLLAMA_|NODE_COMPILE_CACHE)/.test(name) ||
    (/^npm_/.test(name) && !/^npm_config_(?!local_prefix)/.test(name));
  const inherited = Object.entries(process.env).filter(([name]) => !isOurs(name));
  // `npm run` puts this checkout's own programs, and its Node, in front.
  const PATH = process.env.PATH?.split(':')
    .filter((folder) => !/node_modules|node-gyp-bin/.test(folder))
    .join(':');
  return {
    ...Object.fromEntries(inherited),
    PATH,
    npm_config_cache: path.join(caches, 'npm'),
    XDG_CACHE_HOME: path.join(caches, 'user'),
    GOGRID_API_PORT: '0',
    GOGRID_NETWORK_PORT: '0',
    GOGRID_NETWORK_LISTEN: '127.0.0.1',
    GOGRID_NETWORK_MDNS: 'false',
    GOGRID_NETWORK_ACCEPT: 'all',
    GOGRID_ENGINE_KIND: 'auto',
    // An Ollama that happens to run here is none of a newcomer's.
    GOGRID_ENGINE_OLLAMA_URL: 'http://127.0.0.1:9',
  };
}

async function firstModel(api: string): Promise<string> {
  let name = '';
  const listed = async () => {
    const { data } = (await (await fetch(`${api}/v1/models`)).json()) as { data: { id: string }[] };
    name = data[0]?.id ?? '';
    return name !== '';
  };
  await until('a model', listed, { everyMs: 50, withinMs: MODEL_WITHIN_MS });
  return name;
}

async function ask(api: string, model: string): Promise<{ firstTokenMs: number; answer: string }> {
  const startedAt = performance.now();
  const messages = [{ role: 'user', content: QUESTION }];
  const body = JSON.stringify({ model, messages, temperature: 0, max_tokens: 40, stream: true });
  const child = start('curl', ['-sN', `${api}/v1/chat/completions`, '-d', body], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  let firstTokenMs = Number.NaN;
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (Number.isNaN(firstTokenMs) && words(text) !== '') firstTokenMs = performance.now() - startedAt;
  });
  await new Promise((resolve) => child.once('close', resolve));
  const answer = words(text);
  if (answer === '') throw new Error(`no answer: ${text.slice(0, 500)}`);
  return { firstTokenMs, answer };
}

/** What has been said so far in a stream of the OpenAI dialect. */
function words(stream: string): string {
  const events = stream.split('\n').filter((line) => line.startsWith('data: {') && line.endsWith('}'));
  const deltas = events.map((line) => JSON.parse(line.slice('data: '.length)).choices?.[0]?.delta?.content ?? '');
  return deltas.join('').trim();
}

async function run(
  command: string,
  args: readonly string[],
  where: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<void> {
  const child: ChildProcess = start(command, args, { ...where, stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject));
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with exit code ${String(code)}`);
}

async function timed(action: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await action();
  return performance.now() - startedAt;
}

/** @returns how to start this file as a program of its own */
export function commandOf(folder: string, caches: string, offline: boolean): [string, ...string[]] {
  return [NODE, import.meta.filename, folder, caches, ...(offline ? ['offline'] : [])];
}

if (process.argv[1] === import.meta.filename) {
  process.on('exit', leaveNothing);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));
  const [folder = '', caches = '', offline] = process.argv.slice(2);
  console.log(JSON.stringify(await firstMinute(folder, caches, offline === 'offline')));
}
