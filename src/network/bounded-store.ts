/** Bounds what the DHT keeps here for others: without a bound any peer could fill the memory with records. */

import type { KadDHTComponents } from '@libp2p/kad-dht';

type Datastore = KadDHTComponents['datastore'];
type Key = Parameters<Datastore['put']>[0];

/**
 * The same store, in which at most `maxKeys` keys stand that were put through it; the one put longest ago makes room.
 * @param onPut is told the key of everything that is put
 */
export function boundedStore(store: Datastore, maxKeys: number, onPut: (key: string) => void): Datastore {
  const keys = new Map<string, Key>();
  const put: Datastore['put'] = async (key, value, options) => {
    keys.delete(key.toString());
    keys.set(key.toString(), key);
    const oldest = keys.size > maxKeys ? keys.values().next().value : undefined;
    if (oldest !== undefined) await remove(oldest, options);
    const stored = await store.put(key, value, options);
    onPut(key.toString());
    return stored;
  };
  const remove: Datastore['delete'] = (key, options) => {
    keys.delete(key.toString());
    return store.delete(key, options);
  };
  return {
    put,
    delete: remove,
    get: (key, options) => store.get(key, options),
    has: (key, options) => store.has(key, options),
    query: (query, options) => store.query(query, options),
    queryKeys: (query, options) => store.queryKeys(query, options),
    getMany: (source, options) => store.getMany(source, options),
    putMany: () => unused('putMany'),
    deleteMany: () => unused('deleteMany'),
    batch: () => unused('batch'),
  };
}

/** The DHT has no use for these; one that had would get around the bound. */
function unused(name: string): never {
  throw new Error(`the DHT's store has no ${name}`);
}
