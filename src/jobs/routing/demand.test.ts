import { expect, it, vi } from 'vitest';
import { demandOf } from './demand.ts';

it('a job is measured once, however often it is looked at, and each one by itself', () => {
  const stringify = vi.spyOn(JSON, 'stringify');
  const format = { type: 'object', properties: { answer: { type: 'string' } } };
  const input = { kind: 'generate', prompt: 'x'.repeat(4_000), format } as const;
  const first = demandOf(input);
  expect(stringify).toHaveBeenCalledTimes(1);
  expect(demandOf(input)).toEqual(first);
  expect(stringify).toHaveBeenCalledTimes(1);
  expect(demandOf({ ...input, prompt: '' }).promptTokens).toBeLessThan(first.promptTokens);
});
