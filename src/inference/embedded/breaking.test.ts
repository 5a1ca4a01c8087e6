/** The process of the embedded engine: killed, silent, speaking rubbish, held back, left alone. */

import { fork } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EngineCall, EngineEvent } from '../../jobs/ports.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import { type EmbeddedStage, embeddedStage } from '../../testing/embedded-stage.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { fastClock, hear, hearFailure, needed, never, summary } from '../acceptance/stage.ts';

// The process gets what computing time the tests beside it leave.
vi.setConfig({ testTimeout: 30_000 });

let stage: EmbeddedStage;
beforeAll(async () => {
  stage = await embeddedStage();
});
afterEach(() => stage.stopEngines());
afterAll(() => stage.close());

const chat = (options: Record<string, number> = {}, model = 'endless:latest', content = 'Hello'): EngineCall => ({
  model,
  input: { kind: 'chat', messages: [{ role: 'user', content }], options: { temperature: 0, ...options } },
  resume: undefined,
});
const short = chat({ num_predict: 3 });
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
/** Reads up to the first piece of the answer. */
async function untilItSpeaks(events: AsyncIterator<EngineEvent>) {
  for (let next = await events.next(); next.done !== true; next = await events.next()) {
    if (next.value.type === 'chunk') return;
  }
  throw new Error('it did not speak');
}

describe('a process that is killed', () => {
  it('fails the call in its middle at once, and the next call runs in another one', async () => {
    // No time passes, so no timeout is what ends the call.
    const engine = await stage.start({}, new VirtualClock());
    const whole = await hear(engine.run(short, never));
    const events = engine.run(chat(), never)[Symbol.asyncIterator]();
    await untilItSpeaks(events);
    const pid = needed(engine.pid);
    process.kill(pid, 'SIGKILL');
    const { error } = await hearFailure({ [Symbol.asyncIterator]: () => events });
    expect(error).toMatchObject({ code: 'engine_failed', hint: expect.any(String) });
    expect(error.message).toContain('SIGKILL');
    await vi.waitFor(() => expect(engine.models().every((model) => !model.warm)).toBe(true));
    expect(engine.status().state).toBe('ready');
    expect((await hear(engine.run(short, never))).text).toBe(whole.text);
    expect(engine.pid).not.toBe(pid);
  });

  it('again and again is started later and later, and offers nothing meanwhile', async () => {
    const program = await stage.program("if (message.type === 'load') process.exit(7);");
    const engine = await stage.start({ program }, fastClock(20));
    const codes = async () => (await hearFailure(engine.run(short, never))).error;
    expect(await codes()).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('exit code 7') });
    expect(await codes()).toMatchObject({ code: 'engine_failed' });
    expect(engine.status().state).toBe('ready');
    expect(await codes()).toMatchObject({ code: 'engine_unavailable', retryAfterSecs: 1, hint: expect.any(String) });
    await vi.waitFor(async () => expect((await codes()).code).toBe('engine_failed'));
    expect(engine.status()).toMatchObject({ state: 'unreachable', hint: expect.stringContaining('memory') });
    expect(engine.models()).toEqual([]);
    const told = vi.fn();
    engine.onChange(told);
    await vi.waitFor(() => expect(engine.status().state).toBe('ready'), { timeout: 2000 });
    expect(told).toHaveBeenCalled();
    expect(engine.models()).not.toEqual([]);
  });
});

describe('a process that', () => {
  const answers = "if (message.type === 'load') process.send({ type: 'loaded', loadMs: 1, sizeBytes: 1 });";
  const speaks = `${answers} const { id } = message;`;

  it('cannot load its library makes the engine say so, and its models go', async () => {
    const program = await stage.program('', "{ type: 'unusable', message: 'no binary for this system' }");
    const engine = await stage.start({ program });
    await vi.waitFor(() => expect(engine.status().state).toBe('unreachable'), { timeout: 3000 });
    expect(engine.status().hint).toMatch(/no binary for this system.*glibc.*Ollama/);
    expect(engine.models()).toEqual([]);
    const { error } = await hearFailure(engine.run(short, never));
    expect(error).toMatchObject({ code: 'engine_unavailable', hint: expect.stringContaining('Ollama') });
  });

  it.each([
    ['no message of ours', '{ nonsense: true }'],
    ['a piece without credit for its size', "{ type: 'chunk', id, tokens: 1, text: 'x'.repeat(1_000_000) }"],
    ['a reason that there is none', "{ type: 'done', id, reason: 'bored', usage: {} }"],
  ])('sends %s is ended', async (_what, rubbish) => {
    const program = await stage.program(`${speaks} if (message.type === 'run') process.send(${rubbish});`);
    const engine = await stage.start({ program });
    const { error } = await hearFailure(engine.run(short, never));
    expect(error).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('makes no sense') });
    expect(engine.pid).toBeUndefined();
  });

  it.each([
    ['pieces', "{ type: 'chunk', id, tokens: 1, text: 'so' }"],
    ['signs of progress', "{ type: 'progress', id, phase: 'decoding' }"],
  ])('sends %s that nobody takes, without credit, is ended', async (_what, flood) => {
    const program = await stage.program(
      `${speaks} if (message.type === 'run') for (let n = 0; n < 20_000; n++) process.send(${flood});`,
    );
    const engine = await stage.start({ program }, new VirtualClock());
    const events = engine.run(short, never)[Symbol.asyncIterator]();
    // Its first step tells that it loads; the second is the first thing that the process said. Then nobody asks.
    await events.next();
    await events.next();
    await vi.waitFor(() => expect(engine.pid).toBeUndefined(), { timeout: 10_000 });
    const { heard, error } = await hearFailure({ [Symbol.asyncIterator]: () => events });
    expect(heard.events.length).toBeLessThanOrEqual(EMBEDDED.creditChunks + 1);
    expect(error).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('makes no sense') });
  });

  it('never gets ready is ended', async () => {
    const engine = await stage.start({ program: await stage.program('', 'undefined') }, fastClock(100));
    const { error } = await hearFailure(engine.run(short, never));
    expect(error).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('ended') });
  });

  it('falls silent in the middle is ended, when the engine may not be silent for so long', async () => {
    const piece = "process.send({ type: 'chunk', id, tokens: 1, text: 'so' })";
    const program = await stage.program(`${speaks} if (message.type === 'run') ${piece};`);
    const engine = await stage.start({ program }, fastClock(100));
    const { heard, error } = await hearFailure(engine.run(short, never));
    expect(heard.text).toBe('so');
    expect(error).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('silent') });
    await vi.waitFor(() => expect(engine.pid).toBeUndefined());
  });

  it('does not stop when it is told to is ended, and the next call waits for that', async () => {
    const program = await stage.program(
      `${speaks} if (message.type === 'run') process.send({ type: 'progress', id, phase: 'prefill' });`,
    );
    const clock = new VirtualClock();
    const engine = await stage.start({ program }, clock);
    const stop = new AbortController();
    const first = hearFailure(engine.run(short, stop.signal));
    await vi.waitFor(() => expect(engine.models().some((model) => model.warm)).toBe(true), { timeout: 3000 });
    const pid = needed(engine.pid);
    stop.abort();
    // Whoever cancelled does not wait for the process: its time has not begun to pass.
    expect((await first).error.code).toBe('cancelled');
    const next = hearFailure(engine.run(short, never));
    await clock.advance(EMBEDDED.stopMs - 1);
    expect(isAlive(pid)).toBe(true);
    await clock.advance(1);
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 3000 });
    stage.stopEngines();
    await next;
  });
});

describe('the one process', () => {
  it('holds one call at a time, the others wait their turn', async () => {
    const engine = await stage.start();
    const alone = await hear(engine.run(chat({ num_predict: 40 }), never));
    const calls = Array.from({ length: 4 }, () => hear(engine.run(chat({ num_predict: 40 }), never)));
    for (const heard of await Promise.all(calls)) expect(heard.text).toBe(alone.text);
  });

  it('is free at once when a call is cancelled: running, waiting, reading a long prompt, or loading', async () => {
    // No time passes, so none of them is ended by a timeout.
    const engine = await stage.start({}, new VirtualClock());
    const long = chat({}, 'endless:latest', 'a word after another '.repeat(300));
    const cases: [EngineCall, (event: EngineEvent) => boolean, 'same process' | 'another one'][] = [
      [chat(), (event) => event.type === 'progress' && event.phase === 'loading', 'another one'],
      [chat(), (event) => event.type === 'chunk', 'same process'],
      [long, (event) => event.type === 'progress' && event.phase === 'prefill', 'same process'],
    ];
    for (const [call, isMoment, which] of cases) {
      const stop = new AbortController();
      let pid: number | undefined;
      let saidAfterwards = 0;
      const running = (async () => {
        for await (const event of engine.run(call, stop.signal)) {
          if (stop.signal.aborted) saidAfterwards++;
          if (pid !== undefined || !isMoment(event)) continue;
          pid = needed(engine.pid);
          setImmediate(() => stop.abort());
        }
      })();
      const waiting = hearFailure(engine.run(chat(), stop.signal));
      await expect(running).rejects.toMatchObject({ code: 'cancelled' });
      expect(saidAfterwards).toBe(0);
      expect((await waiting).error.code).toBe('cancelled');
      expect((await hear(engine.run(short, never))).text).not.toBe('');
      expect(engine.pid === pid ? 'same process' : 'another one').toBe(which);
    }
  });

  it('stops making tokens while nobody takes them, and loses none', async () => {
    const engine = await stage.start();
    const call = chat({ num_predict: 800 });
    const whole = await hear(engine.run(call, never));
    expect(whole.done?.usage.outputTokens).toBe(800);

    const events = engine.run(call, never)[Symbol.asyncIterator]();
    await untilItSpeaks(events);
    const pid = needed(engine.pid);
    await standsStill(pid);
    const heard: EngineEvent[] = [];
    // What was made meanwhile: the pieces that had credit, and one that gathered.
    for (let count = 0; count <= EMBEDDED.creditChunks; count++) heard.push((await events.next()).value);
    expect(summary(heard).text.length).toBeLessThan(EMBEDDED.maxPieceChars * 2);
    expect(summary(heard).tokens).toBeLessThan(500);
    for (let next = await events.next(); next.done !== true; next = await events.next()) heard.push(next.value);
    expect(whole.text.endsWith(summary(heard).text)).toBe(true);
    expect(summary(heard).done?.usage).toMatchObject({ outputTokens: 800 });
  }, 30_000);

  it.runIf(process.platform === 'linux')('knows nothing of the environment of its node', async () => {
    vi.stubEnv('GOGRID_SECRET', 'open sesame');
    const engine = await stage.start();
    const environment = await readFile(`/proc/${needed(engine.pid)}/environ`, 'utf8');
    expect(environment.split('\0').filter((entry) => entry !== '' && !entry.startsWith('NODE_CHANNEL'))).toEqual([]);
  });

  it('leaves with its model when nobody asked for it for so long as it was kept', async () => {
    const engine = await stage.start({}, fastClock(4));
    await hear(engine.run({ ...short, input: { ...short.input, keepAlive: '2s' } }, never));
    const pid = needed(engine.pid);
    expect(await engine.loaded(never)).toMatchObject([{ name: 'endless:latest', vramBytes: 0, contextLength: 4096 }]);
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 3000 });
    expect(await engine.loaded(never)).toEqual([]);
    expect(engine.status().state).toBe('ready');
    expect((await hear(engine.run(short, never))).text).not.toBe('');
  });

  it('makes room for another model', async () => {
    const engine = await stage.start();
    await hear(engine.run(short, never));
    const first = needed(engine.pid);
    await hear(engine.run(chat({ num_predict: 3 }, 'ending:latest'), never));
    expect((await engine.loaded(never)).map((model) => model.name)).toEqual(['ending:latest']);
    await vi.waitFor(() => expect(isAlive(first)).toBe(false));
  });

  it('ends with its node, however that ended', async () => {
    const child = fileURLToPath(new URL('./engine.ts', import.meta.url));
    const script = path.join(stage.folder, 'node.mjs');
    await writeFile(
      script,
      `import { createEmbeddedEngine } from ${JSON.stringify(child)};
       const log = { child: () => log, info() {}, warn() {}, debug() {}, error() {} };
       const clock = { now: Date.now, elapsed: () => performance.now(), after: (ms, f) => ({ cancel() {} }) };
       const files = { folders: [${JSON.stringify(stage.folder)}], digestFile: ${JSON.stringify(`${stage.folder}/d.json`)}, catalogue: [] };
       const engine = createEmbeddedEngine(files, { logger: log, clock });
       setInterval(() => {}, 1000);
       await engine.start();
       const input = { kind: 'chat', messages: [{ role: 'user', content: 'Hello' }], options: {} };
       for await (const event of engine.run({ model: 'endless:latest', input }, new AbortController().signal)) {
         if (event.type === 'chunk') process.send(engine.pid);
       }`,
    );
    const node = fork(script, [], {
      execArgv: ['--experimental-strip-types', '--disable-warning=ExperimentalWarning'],
    });
    const pid = await new Promise<number>((resolve) => node.once('message', (message) => resolve(Number(message))));
    expect(isAlive(pid)).toBe(true);
    node.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 3000 });
  });
});

/** Resolves when a process has used no computing time for a while. */
async function standsStill(pid: number): Promise<void> {
  if (process.platform !== 'linux') return;
  let before = '';
  await vi.waitFor(
    async () => {
      const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
      const [now, was] = [`${fields[11]} ${fields[12]}`, before];
      before = now;
      expect(now).toBe(was);
    },
    { timeout: 8000, interval: 300 },
  );
}
