/** A pull as one thing: who shares it, when it ends, and where the model comes from. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../clock.ts';
import { pullState as contract } from '../../contract/pulls.ts';
import { GoGridError } from '../../errors.ts';
import { STORE } from '../../limits/engine.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { collected } from '../../testing/collected.ts';
import { type FileServer, fileServer } from '../../testing/file-server.ts';
import { entryOf, httpsSource, modelBytes, type SmallStore, smallStore } from '../../testing/small-store.ts';
import type { PullState } from './pull.ts';
import { type OllamaSide, Pulls, type PullsDeps } from './pulls.ts';

const content = modelBytes();
const never = new AbortController().signal;
let server: FileServer;
let small: SmallStore;
let refreshed = 0;
const made: Pulls[] = [];

beforeEach(async () => {
  server = await fileServer(content);
  small = await smallStore([entryOf(content, [httpsSource(server.url)])]);
  refreshed = 0;
});
afterEach(async () => {
  await Promise.all(made.splice(0).map((pulls) => pulls.stop()));
  await Promise.all([server.close(), small.close()]);
});

function pullsWith(more: Partial<PullsDeps> = {}): Pulls {
  const pulls = new Pulls({
    store: small.store,
    ollama: undefined,
    refresh: async () => void refreshed++,
    clock: systemClock,
    log: silentLogger,
    ...more,
  });
  made.push(pulls);
  return pulls;
}

/** Reads until the state is such. */
async function readUntil(states: AsyncIterator<PullState>, wanted: (state: PullState) => boolean): Promise<PullState> {
  for (;;) {
    const { done, value } = await states.next();
    if (done === true) throw new Error('it ended');
    if (wanted(value)) return value;
  }
}

const ollamaOf = (more: Partial<OllamaSide> = {}): OllamaSide => ({
  isThere: async () => true,
  has: async () => false,
  async *pull() {
    yield { status: 'pulling manifest', digest: undefined, totalBytes: undefined, bytes: undefined };
    yield { status: 'pulling abc', digest: 'sha256:abc', totalBytes: 1000, bytes: undefined };
    yield { status: 'pulling abc', digest: 'sha256:abc', totalBytes: 1000, bytes: 1000 };
    yield { status: 'verifying sha256 digest', digest: undefined, totalBytes: undefined, bytes: undefined };
  },
  remove: async () => {},
  ...more,
});

const failing = (code: 'download_failed' | 'model_not_found'): OllamaSide['pull'] =>
  // biome-ignore lint/correctness/useYield: it fails before it has anything to say
  async function* pull() {
    throw new GoGridError({ code, message: 'Ollama says no' });
  };

describe('a pull from the catalogue', () => {
  it('tells every step as the contract says, up to the end, and the engines look', async () => {
    const pulls = pullsWith();
    const states = await collected(pulls.pull('Tiny', never));
    expect(states[0]).toMatchObject({ model: 'Tiny', state: 'starting', source: '' });
    expect(states.at(-1)).toMatchObject({ state: 'done', source: 'the hub', endedAt: expect.any(Number) });
    for (const state of states) expect(contract.safeParse(state)).toMatchObject({ success: true, data: state });
    expect(refreshed).toBe(1);
    expect(pulls.states()).toMatchObject([{ model: 'Tiny', state: 'done' }]);
  });

  it('is one however many ask for it', async () => {
    const pulls = pullsWith();
    const all = await Promise.all(
      ['tiny', 'TINY:latest', 'tiny:latest'].map((name) => collected(pulls.pull(name, never))),
    );
    for (const states of all) expect(states.at(-1)?.state).toBe('done');
    expect(server.requests).toHaveLength(1);
  });

  it('goes on while anybody listens, and stops with the last one; what came is kept', async () => {
    server.behave({ hangAfter: 50_000 });
    const pulls = pullsWith();
    const abort = new AbortController();
    const first = pulls.pull('tiny', abort.signal)[Symbol.asyncIterator]();
    const second = pulls.pull('tiny', never)[Symbol.asyncIterator]();
    await readUntil(first, (state) => state.bytes === 50_000);
    await readUntil(second, (state) => state.bytes === 50_000);
    abort.abort();
    await expect(readUntil(first, () => false)).rejects.toMatchObject({ code: 'cancelled' });
    expect(pulls.states()).toMatchObject([{ state: 'downloading', bytes: 50_000, totalBytes: content.length }]);
    await second.return?.();
    await expect.poll(() => pulls.states()).toMatchObject([{ state: 'cancelled' }]);

    server.behave({ hangAfter: undefined });
    expect((await collected(pulls.pull('tiny', never))).at(-1)?.state).toBe('done');
    expect(server.requests.at(-1)?.range).toBe('bytes=50000-');
  });

  it('that was just left is begun anew, not joined', async () => {
    server.behave({ hangAfter: 50_000 });
    const pulls = pullsWith();
    const first = pulls.pull('tiny', never)[Symbol.asyncIterator]();
    await readUntil(first, (state) => state.bytes === 50_000);
    server.behave({ hangAfter: undefined });
    await first.return?.();
    expect(pulls.states()[0]?.endedAt).toBeNull();
    const states = await collected(pulls.pull('tiny', never));
    expect(states.at(-1)?.state).toBe('done');
  });

  it('that fails is told of with its reason', async () => {
    server.behave({ instead: (response) => response.writeHead(503).end() });
    const pulls = pullsWith();
    await expect(collected(pulls.pull('tiny', never))).rejects.toMatchObject({ code: 'download_failed' });
    expect(pulls.states()).toMatchObject([{ state: 'failed', error: expect.stringContaining('it answers 503') }]);
    expect(refreshed).toBe(0);
  });

  it('tells a slow listener the newest, not all', async () => {
    const pulls = pullsWith();
    const slow = pulls.pull('tiny', never)[Symbol.asyncIterator]();
    await slow.next();
    await collected(pulls.pull('tiny', never));
    const rest: PullState[] = [];
    for (let step = await slow.next(); step.done !== true; step = await slow.next()) rest.push(step.value);
    expect(rest.at(-1)?.state).toBe('done');
    expect(rest.filter(({ state }) => state === 'downloading').length).toBeLessThanOrEqual(1);
  });

  it('ends when the node stops, and says so', async () => {
    server.behave({ hangAfter: 50_000 });
    const pulls = pullsWith();
    const states = pulls.pull('tiny', never)[Symbol.asyncIterator]();
    await readUntil(states, (state) => state.bytes === 50_000);
    await pulls.stop();
    await expect(readUntil(states, () => false)).rejects.toMatchObject({ code: 'shutting_down' });
    await expect(collected(pulls.pull('tiny', never))).rejects.toMatchObject({ code: 'shutting_down' });
  });
});

describe('where it comes from', () => {
  it('is Ollama when it answers', async () => {
    const states = await collected(pullsWith({ ollama: ollamaOf() }).pull('tiny', never));
    // How often one step is told depends on who is faster.
    expect(states.filter((state, index) => state.status !== states[index + 1]?.status)).toMatchObject([
      { state: 'starting', source: '' },
      { state: 'starting', status: 'pulling manifest', source: 'Ollama', digest: null },
      { state: 'downloading', digest: 'sha256:abc', bytes: 1000, totalBytes: 1000 },
      { state: 'checking', status: 'verifying sha256 digest' },
      { state: 'done', source: 'Ollama' },
    ]);
    expect(server.requests).toHaveLength(0);
  });

  it('is the catalogue when Ollama is away or does not get it, and when that was asked for', async () => {
    for (const ollama of [
      ollamaOf({ isThere: async () => false }),
      ollamaOf({ pull: failing('download_failed') }),
      ollamaOf({ pull: failing('model_not_found') }),
    ]) {
      expect((await collected(pullsWith({ ollama }).pull('tiny', never))).at(-1)?.source).toBe('the hub');
    }
    const states = await collected(pullsWith({ ollama: ollamaOf() }).pullFromCatalogue('tiny', never));
    expect(states.at(-1)?.source).toBe('the hub');
  });

  it.each([
    [
      'Ollama away',
      { isThere: async () => false },
      'engine_unavailable',
      'which does not answer; without it there is only tiny:latest',
    ],
    ['Ollama without it', { pull: failing('model_not_found') }, 'model_not_found', 'Ollama says no'],
  ] as const)('is nowhere with %s', async (_, ollama, code, text) => {
    const pulling = collected(pullsWith({ ollama: ollamaOf(ollama) }).pull('other', never));
    await expect(pulling).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
  });

  it('is nowhere without an engine, or without Ollama', async () => {
    await expect(collected(pullsWith({ store: undefined }).pull('tiny', never))).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining('engine.kind is none'),
    });
    await expect(collected(pullsWith().pull('other', never))).rejects.toMatchObject({
      code: 'model_not_found',
      message: "model 'other' not found: without Ollama there is only tiny:latest",
      hint: expect.not.stringContaining('did you mean'),
    });
    await expect(collected(pullsWith().pull('tiny:9b', never))).rejects.toMatchObject({
      code: 'model_not_found',
      hint: expect.stringMatching(/^did you mean tiny:latest\? /),
    });
  });

  it.each(['', 'no model name!', `tiny@sha256:${'a'.repeat(64)}`])('is not asked for %j', async (name) => {
    await expect(collected(pullsWith().pull(name, never))).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

it('so many at once are enough', async () => {
  const ollama = ollamaOf({
    async *pull(name, signal) {
      yield { status: name, digest: undefined, totalBytes: undefined, bytes: undefined };
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      throw new GoGridError({ code: 'cancelled', message: 'cancelled' });
    },
  });
  const pulls = pullsWith({ ollama });
  const open = Array.from({ length: STORE.maxPulls }, (_, index) =>
    pulls.pull(`m${index}`, never)[Symbol.asyncIterator](),
  );
  await Promise.all(open.map((states) => states.next()));
  await expect(collected(pulls.pull('one-more', never))).rejects.toMatchObject({ code: 'overloaded' });
  expect(pulls.states()).toHaveLength(STORE.maxPulls);
});

describe('removing', () => {
  it('takes the file away, and the engines look', async () => {
    const pulls = pullsWith();
    await collected(pulls.pull('tiny', never));
    await pulls.remove('Tiny:latest', never);
    expect(await small.store.installed(never)).toEqual([]);
    expect(refreshed).toBe(2);
    expect(pulls.states()).toEqual([]);
    expect(pulls.wasRemoved('tiny')).toBe(true);
    await expect(pulls.remove('tiny', never)).rejects.toMatchObject({ code: 'model_not_found' });
    await collected(pulls.pull('tiny', never));
    expect(pulls.wasRemoved('tiny')).toBe(false);
  });

  it('asks Ollama for what Ollama has', async () => {
    const removed: string[] = [];
    const ollama = ollamaOf({
      has: async (name) => name === 'llama3.2',
      remove: async (name) => void removed.push(name),
    });
    const pulls = pullsWith({ ollama });
    await pulls.remove('llama3.2', never);
    expect(removed).toEqual(['llama3.2']);
    await expect(pulls.remove('other', never)).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('comes before a pull that is asked for meanwhile', async () => {
    const gate = Promise.withResolvers<void>();
    const pulls = pullsWith({ ollama: ollamaOf({ isThere: () => gate.promise.then(() => false) }) });
    await small.fetch(entryOf(content, [httpsSource(server.url)]));
    const removing = pulls.remove('tiny', never);
    expect(pulls.wasRemoved('tiny')).toBe(true);
    const pulling = collected(pulls.pullFromCatalogue('tiny', never));
    await expect.poll(() => small.store.installed(never)).toEqual([]);
    expect(pulls.states()).toEqual([]);
    gate.resolve();
    await removing;
    expect((await pulling).at(-1)?.state).toBe('done');
    expect(await small.store.installed(never)).toHaveLength(1);
  });

  it('waits for no pull of the same name', async () => {
    server.behave({ hangAfter: 1000 });
    const pulls = pullsWith();
    const states = pulls.pull('tiny', never)[Symbol.asyncIterator]();
    await readUntil(states, (state) => state.bytes === 1000);
    await expect(pulls.remove('tiny', never)).rejects.toThrow('is being pulled right now');
    await states.return?.();
  });
});
