import { describe, expect, it } from 'vitest';
import { castOf, providersFor, styleOf } from './cast.ts';

const model = { name: 'tiny:latest', bytes: 100e6, shared: false };

describe('the cast', () => {
  it('is one that asks, those that run the model, and the rest', () => {
    expect(castOf(5, 3).map(({ name, role }) => `${name} ${role}`)).toEqual([
      'laptop asks',
      'desktop runs',
      'attic runs',
      'kitchen runs',
      'office watches',
    ]);
  });

  it('has a name for each, and neighbours differ in colour', () => {
    const cast = castOf(9, 3);
    expect(new Set(cast.map(({ name }) => name)).size).toBe(9);
    for (const [index, { name }] of cast.entries()) {
      expect(styleOf(name)).not.toBe(styleOf(cast[(index + 1) % 9]?.name ?? ''));
    }
  });
});

describe('the model is loaded', () => {
  it.each([
    [5, 16e9, 3],
    [3, 16e9, 2],
    [5, 1.6e9, 2],
  ])('of %i nodes with %f bytes free: by %i', (nodes, free, expected) => {
    expect(providersFor(nodes, model, free)).toBe(expected);
  });

  it('by nobody when two do not fit, and that is said', () => {
    expect(() => providersFor(5, model, 0.9e9)).toThrow(
      'not enough memory: 0.9 GB are free, and two nodes with tiny:latest need 1.5 GB',
    );
  });

  it('by three when one engine serves them all, however much is free', () => {
    expect(providersFor(5, { ...model, shared: true }, 0)).toBe(3);
  });
});
