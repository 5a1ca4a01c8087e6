import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['port', 'port', 0],
    ['prot', 'port', 1],
    ['pot', 'port', 1],
    ['porrt', 'port', 1],
    ['part', 'port', 1],
    ['', 'port', 4],
    ['status', 'stauts', 1],
    ['listen', 'lsiten', 1],
    ['kind', 'find', 1],
  ])('of %s and %s is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });

  it('is a measure: 0 only for equals, the same both ways, never more than the longer word', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('nearest', () => {
  const known = ['api.port', 'api.host', 'network.port', 'engine.kind'];

  it('finds what was meant', () => {
    expect(nearest('api.prot', known)).toBe('api.port');
    expect(nearest('API.PORT', known)).toBe('api.port');
    expect(nearest('engine.knd', known)).toBe('engine.kind');
  });

  it('does not guess at something else', () => {
    expect(nearest('colour', known)).toBeUndefined();
    expect(nearest('x'.repeat(100_000), known)).toBeUndefined();
    expect(nearest('api.port', [])).toBeUndefined();
  });
});
