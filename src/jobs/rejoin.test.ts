import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JOB, QUEUE } from '../limits/jobs.ts';
import { collect, question, smallMesh } from '../testing/small-mesh.ts';
import { settle, VirtualClock } from '../testing/virtual-clock.ts';
import { answerTokens, PROMPT_TOKENS, promptOf } from '../testing/word-engine.ts';

const never = new AbortController().signal;

describe('a requester that lost its stream and comes back to the same provider', () => {
  test.each([
    ['while the answer is written', 100, 400],
    ['when the answer is complete', 100, 20],
    ['before the first word', 5_000, 40],
  ])('%s gets the rest: no word lost or repeated, one run of the engine, one charge', async (_when, gapMs, words) => {
    const clock = new VirtualClock();
    const pace = { clock, loadMs: 0, prefillMs: 0, gapMs: () => gapMs, stopMs: 10 };
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words, pace }] }, clock);
    const spec = question('q');
    const run = collect(here!.requester.run(spec, never));
    await settle();
    await clock.advance(1_050);
    there!.part();
    await clock.advance(JOB.silenceMs + words * gapMs + 10_000);
    const { text, done } = await run;
    expect(text).toBe(answerTokens(promptOf(spec.input), words).join(''));
    expect(done?.usage).toMatchObject({ outputTokens: words, promptTokens: PROMPT_TOKENS });
    expect(done?.job.attempts.map(({ provider }) => provider)).toEqual(['node1', 'node1']);
    expect(there!.engine.calls).toHaveLength(1);
    expect(there!.provider.counterOf('node0')).toBe(QUEUE.minInputTokens + 2 * words);
    expect(there!.provider.load.running).toBe(0);
  });

  test('at any moments, and again, gets exactly the answer', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat(8_000), { minLength: 1, maxLength: 3 }),
        async (words, perChunk, moments) => {
          const clock = new VirtualClock();
          const pace = { clock, loadMs: 0, prefillMs: 0, gapMs: () => 50, stopMs: 10 };
          const [here, there] = smallMesh({ nodes: [{ models: [] }, { words, perChunk, pace }] }, clock);
          const run = collect(here!.requester.run(question('q'), never));
          await settle();
          for (const ms of moments) {
            await clock.advance(ms);
            there!.part();
          }
          await clock.advance(60_000);
          const { text, done } = await run;
          expect(text).toBe(answerTokens(promptOf(question('q').input), words).join(''));
          expect(done?.usage).toMatchObject({ outputTokens: words, promptTokens: PROMPT_TOKENS });
          expect(there!.engine.calls).toHaveLength(1);
        },
      ),
      { numRuns: 40 },
    );
  });
});
