import { expect, it } from 'vitest';
import { GoGridError } from '../../../errors.ts';
import { fromLibrary } from './failure.ts';

it.each([
  // The first was seen with a context of 60 million tokens, the second stands in the source of node-llama-cpp 3.22.
  ['A context size of 60000000 is too large for the available RAM', 'engine_out_of_memory'],
  ['Not enough VRAM to fit the model with the specified settings', 'engine_out_of_memory'],
  ['Failed to load model', 'engine_failed'],
])('%s is %s, with a hint', (text, code) => {
  const error = fromLibrary('could not load the model', 'm:latest', new Error(text));
  expect(error).toMatchObject({ code, message: expect.stringContaining('m:latest'), hint: expect.any(String) });
});

it('an error of ours stays what it is', () => {
  const ours = new GoGridError({ code: 'prompt_too_long', message: 'too long' });
  expect(fromLibrary('failed', 'm:latest', ours)).toBe(ours);
});
