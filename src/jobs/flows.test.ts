import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { JOB, TRANSCRIPT } from '../limits/jobs.ts';
import { errorOf } from '../testing/failure.ts';
import { answerTo, collect, question, smallMesh } from '../testing/small-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { answerTokens, promptOf } from '../testing/word-engine.ts';

const never = new AbortController().signal;

describe('a job', () => {
  test('runs here when it can', async () => {
    const [here, there] = smallMesh({ nodes: [{}, {}] }, systemClock);
    const { text, all, done } = await collect(here!.requester.run(question('hello'), never));
    expect(text).toBe(answerTo('hello', 12));
    expect(all[0]).toMatchObject({ type: 'placed', provider: 'node0', route: 'local' });
    expect(done).toMatchObject({ reason: 'stop', usage: { outputTokens: 12, estimated: false } });
    expect(done?.job).toMatchObject({ state: 'completed', direction: 'local', lane: 'owner', tokensOut: 12 });
    expect(there!.engine.calls).toHaveLength(0);
  });

  test('runs on the peer that has the model, and calls its engine once', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, systemClock);
    const { text, done } = await collect(here!.requester.run(question('hello'), never));
    expect(text).toBe(answerTo('hello', 12));
    expect(done?.job).toMatchObject({ direction: 'out', provider: 'node1', lane: 'paid' });
    expect(there!.engine.calls).toHaveLength(1);
    const inbound = await there!.book.get(done!.job.id);
    expect(inbound).toMatchObject({ direction: 'in', state: 'completed', requester: 'node0', tokensOut: 12 });
  });

  test('of an unknown model fails with a clear refusal', async () => {
    const [here] = smallMesh({ nodes: [{}] }, systemClock);
    const error = await errorOf(collect(here!.requester.run(question('x', { model: 'nope' }), never)));
    expect(error).toMatchObject({ code: 'model_not_found', message: "model 'nope:latest' not found" });
  });

  test('of a model that the silent engine here may have says so, and when to ask again', async () => {
    const [here] = smallMesh({ nodes: [{ trouble: 'start it' }] }, systemClock);
    const error = await errorOf(collect(here!.requester.run(question('x', { model: 'nope' }), never)));
    expect(error).toMatchObject({ code: 'engine_unavailable', hint: 'start it', retryAfterSecs: JOB.engineRetrySecs });
  });

  test('of a model that is on its way says how far it is, and when to ask again', async () => {
    const [here] = smallMesh(
      { nodes: [{ trouble: 'pull it', arriving: { percent: 37.9, secondsLeft: 12.3 } }] },
      systemClock,
    );
    const error = await errorOf(collect(here!.requester.run(question('x', { model: 'nope' }), never)));
    expect(error).toMatchObject({
      code: 'engine_unavailable',
      message: "model 'nope:latest' is being fetched, 37 % of it is here",
      retryAfterSecs: 13,
    });
  });

  test('pinned to a digest nobody has is refused', async () => {
    const [here] = smallMesh({ nodes: [{}] }, systemClock);
    const model = `words@sha256:${'cd'.repeat(32)}`;
    const error = await errorOf(collect(here!.requester.run(question('x', { model }), never)));
    expect(error.code).toBe('model_not_found');
  });

  test('that may not leave this machine does not', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, systemClock);
    const error = await errorOf(collect(here!.requester.run(question('x', { privacy: 'local' }), never)));
    expect(error.code).toBe('privacy_unserved');
    expect(there!.engine.calls).toHaveLength(0);
  });

  test('is told when to come back when every provider is full', async () => {
    const busy = { slots: 1, room: 0, words: 1000 };
    const [here, there] = smallMesh({ nodes: [{ models: [], maxWaiting: 0 }, busy] }, systemClock);
    const running = here!.requester.run(question('long'), never);
    await running.next();
    const error = await errorOf(collect(here!.requester.run(question('second'), never)));
    expect(error.code).toBe('overloaded');
    expect(error.retryAfterSecs).toBeGreaterThanOrEqual(JOB.minRetryAfterSecs);
    expect(error.retryAfterSecs).toBeLessThanOrEqual(JOB.maxRetryAfterSecs);
    await running.return(undefined);
    expect(there!.engine.calls).toHaveLength(1);
  });

  test('waits in the queue, is told its place, and then runs', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 40 }] }, systemClock);
    const first = collect(here!.requester.run(question('first'), never));
    const second = await collect(here!.requester.run(question('second'), never));
    expect(second.all).toContainEqual({
      type: 'waiting',
      wait: { where: 'queue', ahead: 1, estimateMs: expect.any(Number) },
    });
    expect(second.text).toBe(answerTo('second', 40));
    expect((await first).text).toBe(answerTo('first', 40));
    expect(there!.engine.mostActive).toBe(1);
  });

  test('whose client hangs up frees the engine, wherever it is', async () => {
    const nodes = smallMesh({ nodes: [{ models: [] }, { words: 10_000 }] }, systemClock);
    const [here, there] = nodes;
    const client = new AbortController();
    const run = collect(here!.requester.run(question('long'), client.signal), (output) => {
      if (output.type === 'chunk') client.abort();
    });
    expect((await errorOf(run)).code).toBe('cancelled');
    await expect.poll(() => there!.engine.active).toBe(0);
    await expect.poll(() => there!.provider.load.running).toBe(0);
    expect(here!.book.totals()).toMatchObject({ cancelled: 1, running: 0 });
  });

  test('can be cancelled by its id', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 10_000 }] }, systemClock);
    const run = collect(here!.requester.run(question('long'), never), (output) => {
      if (output.type === 'placed') void here!.book.cancel(output.job);
    });
    expect((await errorOf(run)).code).toBe('cancelled');
    await expect.poll(() => there!.engine.active).toBe(0);
  });

  test('that the owner of its provider cancels goes on elsewhere, and not there again', async () => {
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, { words: 200 }, { words: 200 }] }, systemClock);
    let job = '';
    const { text, done } = await collect(here!.requester.run(question('q'), never), (output) => {
      if (output.type === 'placed') job = output.job;
      if (output.type === 'chunk') void there!.book.cancel(job);
    });
    expect(text).toBe(answerTo('q', 200));
    expect(done?.job.attempts.map(({ provider }) => provider)).toEqual(['node1', 'node2']);
    expect([there!.engine.calls.length, other!.engine.calls.length]).toEqual([1, 1]);
  });

  test('that the owner of its only provider cancels is over', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 200 }] }, systemClock);
    let job = '';
    const run = collect(here!.requester.run(question('q'), never), (output) => {
      if (output.type === 'placed') job = output.job;
      if (output.type === 'chunk') void there!.book.cancel(job);
    });
    expect((await errorOf(run)).message).toContain('the answer broke off');
    expect(there!.engine.calls).toHaveLength(1);
  });

  test('past its deadline ends as expired and frees the engine', async () => {
    const clock = new VirtualClock();
    const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, clock);
    there!.engine.faults.push({ afterTokens: 3, how: 'hang' });
    const run = errorOf(collect(here!.requester.run(question('x', { deadlineMs: 2_000 }), never)));
    await clock.advance(2_500);
    expect((await run).code).toBe('deadline_exceeded');
    expect(there!.engine.active).toBe(0);
    expect(clock.pending).toBe(0);
  });
});

describe('a provider that fails', () => {
  test('before the first token is replaced', async () => {
    const [here, bad, good] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, systemClock);
    bad!.engine.faults.push({ afterTokens: 0, how: 'throw' });
    const { text, done } = await collect(here!.requester.run(question('q'), never));
    expect(text).toBe(answerTo('q', 12));
    expect(done?.job.attempts.map(({ provider, reason }) => ({ provider, reason }))).toEqual([
      { provider: 'node1', reason: 'engine_failed' },
      { provider: 'node2', reason: null },
    ]);
    expect(done?.usage).toMatchObject({ outputTokens: 12, estimated: false });
    expect(good!.engine.calls).toHaveLength(1);
  });

  test('in silence is noticed within the bound, and its answer goes on elsewhere', async () => {
    const clock = new VirtualClock();
    const [here, silent] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, clock);
    silent!.engine.faults.push({ afterTokens: 5, how: 'hang' });
    let heard = '';
    const run = collect(here!.requester.run(question('q'), never), (_output, text) => {
      heard = text;
    });
    await vi.waitFor(() =>
      expect(heard).toBe(
        answerTokens(promptOf(question('q').input), 12)
          .slice(0, 5)
          .join(''),
      ),
    );
    silent!.mute();
    await clock.advance(JOB.silenceMs);
    const { text, done } = await run;
    expect(text).toBe(answerTo('q', 12));
    expect(done?.job.attempts.map((attempt) => attempt.reason)).toEqual(['provider_lost', null]);
    expect(done?.usage.estimated).toBe(true);
    // Until then the provider remembers the answer.
    await clock.advance(TRANSCRIPT.keepMs);
    expect(clock.pending).toBe(0);
  });

  test('whose model loads slowly is not taken for dead', async () => {
    const clock = new VirtualClock();
    const [here, slow, other] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, clock);
    slow!.engine.faults.push({ afterTokens: 0, how: 'hang' });
    const client = new AbortController();
    const run = collect(here!.requester.run(question('q'), client.signal));
    await clock.advance(60_000);
    expect(slow!.engine.active).toBe(1);
    expect(other!.engine.calls).toHaveLength(0);
    client.abort();
    expect((await errorOf(run)).code).toBe('cancelled');
  });

  test('and cannot be continued ends the answer with a clear error', async () => {
    const [here, bad] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, systemClock);
    bad!.engine.faults.push({ afterTokens: 4, how: 'throw' });
    const spec = question('q');
    const withTools = { ...spec, input: { ...spec.input, tools: [{ type: 'function' }] } } as typeof spec;
    const error = await errorOf(collect(here!.requester.run(withTools, never)));
    expect(error.code).toBe('cannot_continue');
  });

  test('and was the only one ends the answer with a sentence that says so', async () => {
    const [here, bad] = smallMesh({ nodes: [{ models: [] }, {}] }, systemClock);
    const run = collect(here!.requester.run(question('q'), never), (_output, text) => {
      if (text !== '') bad!.kill();
    });
    const error = await errorOf(run);
    expect(error.code).toBe('provider_lost');
    expect(error.message).toMatch(/^the answer broke off: .+; no other machine can go on with it/);
  });

  test('four times ends the job with the last reason', async () => {
    const [here, ...rest] = smallMesh({ nodes: [{ models: [] }, {}, {}, {}, {}, {}] }, systemClock);
    for (const node of rest) node.engine.faults.push({ afterTokens: 1, how: 'throw' });
    const error = await errorOf(collect(here!.requester.run(question('q'), never)));
    expect(error.code).toBe('engine_failed');
    expect(rest.reduce((sum, node) => sum + node.engine.calls.length, 0)).toBe(JOB.maxAttempts);
  });

  test('is never the reason for a word lost or repeated', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.record({ afterTokens: fc.nat(15), how: fc.constant('throw' as const) }), { maxLength: 3 }),
        fc.option(fc.nat(60), { nil: undefined }),
        async (prompt, words, perChunk, faults, killAtChars) => {
          const shape = { words, perChunk };
          const nodes = smallMesh({ nodes: [{ models: [] }, shape, shape, shape, shape, shape] }, systemClock);
          for (const [i, fault] of faults.entries()) nodes[i + 1]!.engine.faults.push(fault);
          let provider = '';
          let killed = false;
          const { text, done } = await collect(nodes[0]!.requester.run(question(prompt), never), (output, soFar) => {
            if (output.type === 'placed') provider = output.provider;
            if (killAtChars === undefined || killed || faults.length === 3 || soFar.length < killAtChars) return;
            killed = true;
            nodes.find(({ id }) => id === provider)?.kill();
          });
          expect(text).toBe(answerTo(prompt, words));
          expect(done?.usage.outputTokens).toBe(words);
          expect(Math.max(...nodes.map((node) => node.engine.mostActive))).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 300 },
    );
  });
});
