import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import type { JobInput, Options } from '../protocol/job.ts';
import { boundInput, outputLimitOf } from './bounds.ts';
import { demandOf } from './routing/demand.ts';

const CONTEXT = 4_096;

function outputOf(options: JobInput['options'], contextLength = CONTEXT) {
  return boundInput({ kind: 'generate', prompt: 'x', ...(options && { options }) }, { contextLength }).options
    ?.num_predict;
}

test('no limit is the same everywhere: for Ollama 0 and less', () => {
  for (const [asked, limit] of [
    [0, undefined],
    [-1, undefined],
    [-2, undefined],
    ['all', undefined],
    [null, undefined],
    [7, 7],
  ] as const) {
    const input = { kind: 'generate', prompt: 'x', options: { num_predict: asked } } as const;
    expect([outputLimitOf(input), demandOf(input).maxOutputTokens]).toEqual([limit, limit]);
  }
});

describe("a stranger's request", () => {
  test('writes no more than the model can hold, whatever it asks for', () => {
    for (const none of [undefined, {}, { num_predict: null }, { num_predict: 0 }, { num_predict: 'all' }]) {
      expect(outputOf(none)).toBe(CONTEXT);
    }
    for (const [asked, allowed] of [
      [-1, CONTEXT],
      [-2, CONTEXT],
      [1, 1],
      [CONTEXT + 1, CONTEXT],
    ]) {
      expect(outputOf({ num_predict: asked! })).toBe(allowed);
    }
    expect(outputOf(undefined, 0)).toBe(JOB.maxOutputTokens);
  });

  test('is bound for every number, and within the bound not changed', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.nat(100_000), (asked, context) => {
        const most = context > 0 ? context : JOB.maxOutputTokens;
        const allowed = outputOf({ num_predict: asked }, context);
        expect(allowed).toBe(asked > 0 && asked <= most ? asked : most);
      }),
    );
  });

  test("leaves a model's own bound in force, unless the request names one", () => {
    const model = { contextLength: CONTEXT, outputLimit: 100 };
    const bound = (options: Options) =>
      boundInput({ kind: 'generate', prompt: 'x', options }, model).options?.num_predict;
    expect([bound({}), bound({ num_predict: 7 }), bound({ num_predict: -1 })]).toEqual([undefined, 7, CONTEXT]);
  });

  test('for vectors or for loading gets no option that it has not asked for', () => {
    expect(boundInput({ kind: 'load', keepAlive: '5m' }, { contextLength: CONTEXT })).toEqual({ kind: 'load' });
    expect(boundInput({ kind: 'embed', inputs: ['x'] }, { contextLength: CONTEXT })).toEqual({
      kind: 'embed',
      inputs: ['x'],
    });
  });
});
