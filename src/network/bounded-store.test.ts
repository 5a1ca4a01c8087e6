import { describe, expect, it } from 'vitest';
import { boundedStore } from './bounded-store.ts';

/** As much of a datastore as the DHT uses. */
function memoryStore() {
  const values = new Map<string, Uint8Array>();
  const store = {
    put: async (key: object, value: Uint8Array) => void values.set(`${key}`, value),
    get: async (key: object) => values.get(`${key}`),
    delete: async (key: object) => void values.delete(`${key}`),
  };
  return { values, store: store as never };
}
const key = (name: string) => ({ toString: () => name }) as never;

describe('a bounded store', () => {
  it('drops what was put longest ago', async () => {
    const { values, store } = memoryStore();
    const told: string[] = [];
    const bounded = boundedStore(store, 3, (put) => void told.push(put));
    for (const name of ['a', 'b', 'c']) await bounded.put(key(name), new Uint8Array());
    await bounded.put(key('a'), new Uint8Array(1));
    await bounded.put(key('d'), new Uint8Array());
    expect([...values.keys()].toSorted()).toEqual(['a', 'c', 'd']);
    await bounded.delete(key('c'));
    await bounded.put(key('e'), new Uint8Array());
    expect([...values.keys()].toSorted()).toEqual(['a', 'd', 'e']);
    expect(told.join('')).toBe('abcade');
    expect(await bounded.get(key('a'))).toEqual(new Uint8Array(1));
  });
});
