import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { JOB } from '../limits/jobs.ts';
import { HAND_OVER_REASONS } from '../protocol/job.ts';
import { errorOf } from '../testing/failure.ts';
import { answerTo, collect, question, type SmallNode, smallMesh } from '../testing/small-mesh.ts';
import { PROMPT_TOKENS } from '../testing/word-engine.ts';

const never = new AbortController().signal;

/** Waits for a condition; a busy machine may take its time. */
const until = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

/** Runs a job and calls `act` once, when so many characters are with the client. */
function runUntil(here: SmallNode, text: string, chars: number, act: (provider: string) => void) {
  let provider = '';
  let done = false;
  return collect(here.requester.run(question(text), never), (output, soFar) => {
    if (output.type === 'placed') provider = output.provider;
    if (done || soFar.length < chars) return;
    done = true;
    act(provider);
  });
}

describe('the owner of a machine asks for something', () => {
  test('and a stranger’s long answer goes on elsewhere, without a word lost', async () => {
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, { words: 400 }, { words: 400 }] }, systemClock);
    let own: ReturnType<typeof collect> | undefined;
    const { text, done } = await runUntil(here!, 'q', 60, () => {
      own = collect(there!.requester.run(question('mine', { privacy: 'local' }), never));
    });
    expect(text).toBe(answerTo('q', 400));
    expect((await own)?.text).toBe(answerTo('mine', 400));
    expect(done?.job.attempts.map(({ provider, reason }) => [provider, reason])).toEqual([
      ['node1', 'preempted'],
      ['node2', null],
    ]);
    expect(done?.usage).toMatchObject({ promptTokens: PROMPT_TOKENS, outputTokens: 400, estimated: true });
    expect(other!.engine.calls[0]?.resume?.tokens).toBeGreaterThan(0);
    expect(there!.engine.mostActive).toBe(1);
  });

  test('and where nobody else can take that answer, it waits there and goes on, though the queue is full', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 400, slots: 1, room: 0 }] }, systemClock);
    let own: ReturnType<typeof collect> | undefined;
    const { text, done } = await runUntil(here!, 'q', 60, () => {
      own = collect(there!.requester.run(question('mine', { privacy: 'local' }), never));
    });
    expect(text).toBe(answerTo('q', 400));
    expect((await own)?.text).toBe(answerTo('mine', 400));
    expect(done?.job.attempts.map(({ provider, reason }) => [provider, reason])).toEqual([
      ['node1', 'preempted'],
      ['node1', null],
    ]);
    // To need one's machine is no failure: the rank does not suffer.
    expect(done?.job.decision?.candidates.map(({ failed }) => failed)).toEqual([false]);
    // Its owner's answer ended first.
    expect(there!.engine.calls.map(({ resume }) => resume !== undefined)).toEqual([false, false, true]);
    expect(there!.engine.mostActive).toBe(1);
  });
});

describe('a machine that shuts down', () => {
  test('gives its jobs back, those that run and those that wait, and they go on elsewhere', async () => {
    const shape = { words: 60, room: 8 };
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, shape, { ...shape, models: [] }] }, systemClock);
    there!.engine.faults.push({ afterTokens: 20, how: 'hang' });
    let chunks = 0;
    const count = (output: { type: string }) => {
      if (output.type === 'chunk') chunks++;
    };
    const runs = ['a', 'b', 'c'].map((text) => collect(here!.requester.run(question(text), never), count));
    await until(() => expect([there!.provider.load.running, there!.provider.load.depth, chunks]).toEqual([1, 2, 20]));
    (other!.engine.options.models as string[]).push('words:latest');
    there!.status = 'draining';
    there!.provider.drain();
    await there!.provider.finish(AbortSignal.abort());
    const answers = await Promise.all(runs);
    expect(answers.map(({ text }) => text)).toEqual(['a', 'b', 'c'].map((text) => answerTo(text, 60)));
    expect(answers.map(({ done }) => done?.job.attempts.map(({ provider, reason }) => [provider, reason]))).toEqual(
      Array(3).fill([
        ['node1', 'shutting_down'],
        ['node2', null],
      ]),
    );
    expect(answers[0]!.done?.job.attempts[0]).toMatchObject({ fromToken: 0, toToken: 20 });
    expect(here!.book.totals()).toMatchObject({ completed: 3, failed: 0 });
  });

  test('and is the only one ends what it cannot finish with a clear error', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 400 }] }, systemClock);
    const run = runUntil(here!, 'a', 30, () => {
      there!.provider.drain();
      void there!.provider.finish(AbortSignal.abort());
    });
    expect(await errorOf(run)).toMatchObject({
      code: 'shutting_down',
      message: expect.stringMatching(/^the answer broke off: that machine is shutting down; no other/),
    });
  });
});

describe('a job that is given back', () => {
  test.each([
    ['owner', false],
    ['pause', false],
    ['drain', true],
  ] as const)('for %s: its machine stands behind the others from then on: %s', async (reason, behind) => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 60 }, { words: 60 }] }, systemClock);
    const { text, done } = await runUntil(here!, 'q', 30, () => there!.provider.handJobsOver(reason));
    expect(text).toBe(answerTo('q', 60));
    const decision = done?.job.decision?.candidates ?? [];
    expect(decision.map(({ node, failed }) => [node, failed]).toSorted()).toEqual([
      ['node1', behind],
      ['node2', false],
    ]);
  });

  test('while it waits in the queue waits at its requester until there is room again', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 60 }] }, systemClock);
    there!.engine.faults.push({ afterTokens: 20, how: 'hang' });
    const runs = ['a', 'b'].map((text) => collect(here!.requester.run(question(text), never)));
    await until(() => expect([there!.provider.load.running, there!.provider.load.depth]).toEqual([1, 1]));
    there!.provider.handJobsOver('pause');
    const answers = await Promise.all(runs);
    expect(answers.map(({ text }) => text)).toEqual(['a', 'b'].map((text) => answerTo(text, 60)));
    expect(answers[1]!.all).toContainEqual(
      expect.objectContaining({ type: 'waiting', wait: expect.objectContaining({ where: 'mesh' }) }),
    );
  });
});

test('a job that is handed over again and again is no failure, until it has wandered too long', async () => {
  const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 10_000 }] }, systemClock);
  let handedOver = 0;
  const run = collect(here!.requester.run(question('q'), never), (output) => {
    if (output.type !== 'chunk' || there!.engine.calls.length <= handedOver) return;
    handedOver++;
    there!.provider.handJobsOver('pause');
  });
  const error = await errorOf(run);
  expect(error.code).toBe('preempted');
  expect(handedOver).toBe(JOB.maxHandOvers + 1);
});

/**
 * The law of this part: whatever happens to providers in the midst of an answer, its text is exact and its usage adds up.
 * A cut is a crash, a broken engine, or a hand-over for any reason; after it the same machine may be there again.
 */
test('1,000 cuts at any place lose no word and repeat none', async () => {
  const how = fc.constantFrom('kill' as const, 'throw' as const, ...HAND_OVER_REASONS);
  // Measured in turns of the event loop since the job was placed: an engine writes a chunk in each.
  const cut = fc.record({ afterTurns: fc.nat(30), how });
  const turn = () => new Promise(setImmediate);
  let cuts = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.string({ minLength: 1, maxLength: 10 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(cut, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      async (prompt, words, perChunk, wanted, whole) => {
        const shape = { words, perChunk };
        const nodes = smallMesh({ nodes: [{ models: [] }, shape, shape, shape, shape] }, systemClock);
        const left = [...wanted];
        const cutOff = async (provider: SmallNode) => {
          const next = left.shift();
          for (let i = 0; i < (next?.afterTurns ?? 0); i++) await turn();
          if (next === undefined || provider.engine.active === 0) return;
          cuts++;
          if (next.how === 'kill') {
            provider.kill();
            provider.revive();
          } else if (next.how === 'throw') {
            provider.engine.reachable = false;
            await turn();
            await turn();
            provider.engine.reachable = true;
          } else {
            provider.provider.handJobsOver(next.how);
          }
        };
        const run = nodes[0]!.requester.run(question(prompt, { whole }), never);
        const { text, done } = await collect(run, (output) => {
          if (output.type === 'placed') void cutOff(nodes.find(({ id }) => id === output.provider)!);
        });
        expect(text).toBe(answerTo(prompt, words));
        expect(done?.usage).toMatchObject({ promptTokens: PROMPT_TOKENS, outputTokens: words });
        expect(done?.job.tokensOut).toBe(words);
        expect(Math.max(...nodes.map(({ engine }) => engine.mostActive))).toBeLessThanOrEqual(1);
      },
    ),
    { numRuns: 2_000 },
  );
  expect(cuts).toBeGreaterThanOrEqual(1_000);
}, 60_000);
