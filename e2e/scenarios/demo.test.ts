/** `gogrid demo`: the story comes true, and nothing of it is left, however it ends. */

import { readFileSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import type { DemoEvent } from '../../src/cli/demo/events.ts';
import { NEVER_ENDS, writeTinyGguf } from '../../src/testing/tiny-gguf.ts';
import type { RunningCommand } from '../harness/command.ts';
import type { Environment } from '../harness/environment.ts';
import { answerTo } from '../harness/expected.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 100_000 };
/** A third of it on a quiet machine of two cores. */
const WITHIN_MS = 45_000;
/**
 * A tiny model with so many layers writes a few hundred tokens a second: slow enough to be interrupted. It still speaks in
 * whole words, which are the same tokens again when another node reads them.
 */
const LAYERS = 8;

type Event<Name> = Extract<DemoEvent, { event: Name }>;

/** A folder in place of the system's temporary one, so that what is left in it is seen. */
async function temporary(stage: Stage): Promise<{ folder: string; env: Environment }> {
  const folder = path.join(stage.folder, 'tmp');
  await mkdir(folder, { recursive: true });
  return { folder, env: { TMPDIR: folder, TEMP: folder, TMP: folder } };
}

/** A model that the embedded engine runs. */
async function embedded(stage: Stage): Promise<Environment> {
  const models = path.join(stage.folder, 'models');
  await writeTinyGguf(path.join(models, 'tiny.gguf'), { end: NEVER_ENDS, layers: LAYERS });
  return { GOGRID_ENGINE_KIND: 'embedded', GOGRID_ENGINE_MODELS_DIR: models };
}

function eventsIn(stdout: string): DemoEvent[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as DemoEvent);
}

function all<Name extends DemoEvent['event']>(events: readonly DemoEvent[], name: Name): Event<Name>[] {
  return events.filter((event): event is Event<Name> => event.event === name);
}

function one<Name extends DemoEvent['event']>(events: readonly DemoEvent[], name: Name): Event<Name> {
  const found = all(events, name);
  expect(found, name).toHaveLength(1);
  return found[0] as Event<Name>;
}

/** Processes of the groups that the nodes lead: the nodes, and what they have started. */
async function leftOver(pids: readonly number[]): Promise<number[]> {
  if (process.platform !== 'linux') return pids.filter(isRunning);
  const numbers = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  return numbers.filter((pid) => {
    try {
      const [, state, , group] = /\) (\S) (\d+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      return state !== 'Z' && pids.includes(Number(group));
    } catch {
      return false;
    }
  });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function expectNothingLeft(events: readonly DemoEvent[], folder: string): Promise<void> {
  const pids = all(events, 'node').map(({ pid }) => pid);
  expect(pids).not.toEqual([]);
  const gone = async () => (await leftOver(pids)).length === 0 && (await readdir(folder)).length === 0;
  await until(gone, { what: 'every process and folder of the demo to be gone' });
}

/** Waits until the demo tells this. */
function told(demo: RunningCommand, name: DemoEvent['event']): Promise<unknown> {
  return until(() => demo.output.stdout.includes(`{"event":"${name}"`), { what: `'${name}'`, within: WITHIN_MS });
}

scenario(
  'the demo: a node dies in mid-sentence, and the answer is as if nothing had happened',
  BUDGET,
  async (stage) => {
    const { folder, env } = await temporary(stage);
    const { code, stdout, stderr } = await stage.gogrid(['demo', '--model', 'tiny', '--json'], {
      env: { ...env, ...(await embedded(stage)) },
      within: WITHIN_MS,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const events = eventsIn(stdout);

    const nodes = all(events, 'node');
    expect(nodes.map(({ role }) => role).sort()).toEqual(['asks', 'runs', 'runs', 'runs', 'watches']);
    expect(one(events, 'mesh')).toMatchObject({ node: 'laptop', peers: 4 });
    expect(all(events, 'loaded')).toHaveLength(3);

    // The one that answered is the one that was killed, and another one went on.
    const answering = one(events, 'answering');
    const killed = one(events, 'killed');
    const continued = one(events, 'continued');
    expect(answering.route).toBe('direct');
    expect(killed.node).toBe(answering.node);
    expect(killed.pid).toBe(nodes.find(({ node }) => node === killed.node)?.pid);
    expect(continued.node).not.toBe(killed.node);

    // What the parts say together is what was streamed, and what nobody disturbed would have said.
    const done = one(events, 'done');
    expect(done.parts.map(({ node }) => node)).toEqual([killed.node, continued.node]);
    expect(done.contiguous).toBe(true);
    expect(done.parts[0]?.toToken).toBe(done.parts[1]?.fromToken);
    expect(done.parts.at(-1)?.toToken).toBe(done.tokens);
    expect(
      all(events, 'text')
        .map(({ text }) => text)
        .join(''),
    ).toBe(done.text);
    expect(done.parts.map(({ text }) => text).join('')).toBe(done.text);
    expect(done.reference.text).toBe(done.text);
    expect(done.reference.equal).toBe(true);
    expect(done.reference.node).not.toBe(killed.node);
    expect(done.standstillMs).toBeGreaterThan(0);

    expect(one(events, 'ended').processes).toBe(5);
    await expectNothingLeft(events, folder);
  },
);

scenario('the demo with a model of Ollama, on a screen that is a pipe', BUDGET, async (stage) => {
  const { folder, env } = await temporary(stage);
  const engine = await stage.engine({ tokensPerSecond: 100, models: [{ name: 'words:latest' }] });
  const question = 'tell a story words=90';
  const args = ['demo', '--model', 'words', '--nodes', '3', '--question', question];
  const engineEnv = { GOGRID_ENGINE_KIND: 'ollama', GOGRID_ENGINE_OLLAMA_URL: engine.url };
  const run = (more: readonly string[]) =>
    stage.gogrid([...args, ...more], { env: { ...env, ...engineEnv }, within: WITHIN_MS });

  const events = eventsIn((await run(['--json'])).stdout);
  expect(one(events, 'done').text).toBe(answerTo(question));
  await expectNothingLeft(events, folder);

  const { code, stdout, stderr } = await run([]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^ {2}laptop asks: tell a story words=90$/m);
  expect(stdout).toMatch(/ ✖ killed$/m);
  expect(stdout.replace(/\s+/g, ' ')).toContain('No word is missing or there twice');
  expect(stdout.replace(/\s+/g, ' ')).toContain('gave the same answer to the letter');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: nothing steers a terminal that is none
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  expect(await readdir(folder)).toEqual([]);
});

for (const [signal, when] of [
  ['SIGINT', 'starting'],
  ['SIGHUP', 'killed'],
  ['SIGKILL', 'text'],
] as const) {
  scenario(`the demo ended by ${signal} at '${when}' leaves nothing`, BUDGET, async (stage) => {
    const { folder, env } = await temporary(stage);
    const demo = stage.background(['demo', '--model', 'tiny', '--nodes', '3', '--json'], {
      env: { ...env, ...(await embedded(stage)) },
    });
    await told(demo, 'node');
    await told(demo, when);
    demo.signal(signal);
    const { code, stderr } = await demo.finished;
    if (signal !== 'SIGKILL') {
      expect(code).toBe(1);
      expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'cancelled' } });
    }
    await expectNothingLeft(eventsIn(`${demo.output.stdout.split('\n').slice(0, -1).join('\n')}\n`), folder);
  });
}

scenario('the demo says what is wrong', BUDGET, async (stage) => {
  const { folder, env } = await temporary(stage);
  const settings = { env: { ...env, ...(await embedded(stage)) }, within: WITHIN_MS };
  const unknown = await stage.gogrid(['demo', '--model', 'nobody'], settings);
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toContain("this machine has no model 'nobody'");
  expect(unknown.stderr).toContain('it has tiny:latest');
  const wrong = await stage.gogrid(['demo', '--nodes', '2'], settings);
  expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('from 3 to 9') });
  expect(await readdir(folder)).toEqual([]);
});
