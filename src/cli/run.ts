/** `gogrid run`: one question to a model of the mesh. */

import type { Job, Peer } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { CLI } from '../limits.ts';
import { usage } from './arguments.ts';
import type { Call } from './command.ts';
import { type ApiStream, connect, errorIn, type NodeClient } from './node-client.ts';
import { painter, printable, printableLines, shortId } from './text.ts';

/** A line of `/api/chat`, as far as it is used here. */
interface ChatLine {
  readonly message?: { readonly content?: string; readonly thinking?: string };
  readonly done?: boolean;
  readonly eval_count?: number;
  /** Nanoseconds. */
  readonly eval_duration?: number;
}

export async function run(call: Call): Promise<number> {
  const [model, ...words] = call.words;
  if (model === undefined) throw usage('run wants a model and a prompt', 'run');
  const prompt = await readPrompt(call, words);
  const node = await connect(call.home);
  const aborter = new AbortController();
  const stopListening = call.world.onSignal(() => aborter.abort());
  try {
    const stream = await node.stream({
      method: 'POST',
      path: '/api/chat',
      body: { model, messages: [{ role: 'user', content: prompt }], stream: true },
      signal: aborter.signal,
    });
    if (call.json) return await passOn(call, stream);
    const last = await printAnswer(call, stream);
    const paint = painter(call.world, call.world.stderr);
    call.world.stderr.write(`${paint('dim', printable(await summary(node, stream, last)))}\n`);
    return 0;
  } catch (thrown) {
    if (!aborter.signal.aborted) throw thrown;
    throw new GoGridError({ code: 'cancelled', message: 'cancelled', cause: thrown });
  } finally {
    stopListening();
  }
}

/**
 * The prompt is what stands behind the model, or standard input where nothing does. A lone `-` at the end adds standard
 * input: reading it unasked would wait forever where a program leaves its pipe open.
 */
async function readPrompt(call: Call, words: readonly string[]): Promise<string> {
  const { stdin } = call.world;
  const addsInput = words.at(-1) === '-';
  const spoken = (addsInput ? words.slice(0, -1) : words).join(' ');
  if (spoken !== '' && !addsInput) return spoken;
  if (spoken === '' && !addsInput && stdin.isTty) {
    throw usage('run wants a prompt behind the model, or one on standard input', 'run');
  }
  const read = (await stdin.readAll(CLI.maxPromptBytes)).trim();
  const prompt = spoken === '' ? read : `${spoken}\n\n${read}`;
  if (prompt === '') throw usage('the prompt is empty', 'run');
  return prompt;
}

/** Prints the answer as it comes. @returns its last line */
async function printAnswer(call: Call, stream: ApiStream): Promise<ChatLine> {
  const { stdout, stderr } = call.world;
  let endsInNewline = true;
  let thinking = false;
  for await (const line of stream.lines) {
    const part = readLine(line);
    if (part?.message?.thinking && !thinking && stderr.isTty) {
      thinking = true;
      stderr.write(`${painter(call.world, stderr)('dim', 'thinking…')}\n`);
    }
    const text = part?.message?.content ?? '';
    if (text !== '') {
      // Into a file or a pipe it goes as it is; a terminal obeys what it reads, and this comes from another machine.
      stdout.write(stdout.isTty ? printableLines(text) : text);
      endsInNewline = text.endsWith('\n');
    }
    if (part?.done !== true) continue;
    if (!endsInNewline) stdout.write('\n');
    return part;
  }
  if (!endsInNewline) stdout.write('\n');
  throw cutOff();
}

/** Prints the lines as they come, for programs. An error line ends the command as it does for people. */
async function passOn(call: Call, stream: ApiStream): Promise<number> {
  for await (const line of stream.lines) {
    const part = readLine(line);
    if (part === undefined) continue;
    call.world.stdout.write(`${line}\n`);
    if (part.done === true) return 0;
  }
  throw cutOff();
}

function readLine(line: string): ChatLine | undefined {
  if (line.trim() === '') return undefined;
  const failed = errorIn(line);
  if (failed !== undefined) throw new GoGridError({ code: 'engine_failed', message: failed.message });
  try {
    return JSON.parse(line) as ChatLine;
  } catch (thrown) {
    throw new GoGridError({ code: 'internal', message: 'the node sent a line that is not JSON', cause: thrown });
  }
}

function cutOff(): GoGridError {
  return new GoGridError({
    code: 'provider_lost',
    message: 'the answer ended in the middle',
    hint: 'the node may have been stopped; its log tells more: gogrid logs',
  });
}

/** `answered by kitchen (direct), 212 tokens, 41.3 tokens/s` */
async function summary(node: NodeClient, stream: ApiStream, last: ChatLine): Promise<string> {
  const route = stream.headers['x-gogrid-route'];
  const job = await jobOf(node, stream.headers['x-gogrid-job']);
  const providers = [
    ...new Set(job?.attempts.filter((attempt) => attempt.toToken > attempt.fromToken).map((each) => each.provider)),
  ];
  const known =
    providers.length > 0 ? providers : [stream.headers['x-gogrid-provider'] ?? ''].filter((id) => id !== '');
  const self = job === undefined || job.direction === 'in' ? undefined : job.requester;
  const names = await Promise.all(known.map((id) => (id === self ? 'this machine' : nameOf(node, id))));
  const by = route === 'local' && names.length < 2 ? 'this machine' : names.join(', then ');
  const tokens = last.eval_count ?? job?.tokensOut;
  const seconds = (last.eval_duration ?? 0) / 1e9;
  const rate = seconds > 0 && tokens !== undefined ? tokens / seconds : job?.tokensPerSecond;
  return [
    by === '' ? 'answered' : `answered by ${by}${route === undefined || route === 'local' ? '' : ` (${route})`}`,
    ...(tokens === undefined ? [] : [`${tokens} tokens`]),
    ...(typeof rate === 'number' ? [`${rate.toFixed(1)} tokens/s`] : []),
  ].join(', ');
}

/** The answer is there already: what only decorates it may fail. */
async function jobOf(node: NodeClient, id: string | undefined): Promise<Job | undefined> {
  if (id === undefined) return undefined;
  return node.ask<Job>({ path: `/jobs/${encodeURIComponent(id)}` }).catch(() => undefined);
}

async function nameOf(node: NodeClient, id: string): Promise<string> {
  const peer = await node.ask<Peer>({ path: `/mesh/peers/${encodeURIComponent(id)}` }).catch(() => undefined);
  return peer === undefined || peer.name === '' ? shortId(id) : peer.name;
}
