import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalModelName, parseModelRef } from './model-name.ts';

describe('model names', () => {
  test.each([
    ['llama3', 'llama3:latest'],
    ['Llama3.2:3B', 'llama3.2:3b'],
    ['hf.co/Org/Model-GGUF:Q4_K_M', 'hf.co/org/model-gguf:q4_k_m'],
    ['registry.local:5000/team/model', 'registry.local:5000/team/model:latest'],
    [' tiny ', 'tiny:latest'],
  ])('%s is %s', (written, canonical) => {
    expect(canonicalModelName(written)).toBe(canonical);
  });

  test.each(['', ' ', ':latest', 'a b', 'x'.repeat(400), '../etc', 'a:', 'model\n'.repeat(2), 'naïve'])(
    '%j is none',
    (text) => {
      expect(canonicalModelName(text)).toBeUndefined();
    },
  );

  test('canonical names are their own canonical form', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const canonical = canonicalModelName(text);
        if (canonical !== undefined) expect(canonicalModelName(canonical)).toBe(canonical);
      }),
    );
  });

  test('a digest pins', () => {
    const digest = 'ab'.repeat(32);
    expect(parseModelRef(`llama3@sha256:${digest.toUpperCase()}`)).toEqual({ name: 'llama3:latest', digest });
    expect(parseModelRef('llama3')).toEqual({ name: 'llama3:latest', digest: undefined });
    expect(() => parseModelRef('llama3@sha256:12')).toThrow(/not a model name/);
  });
});
