/**
 * Coordinators with waiting jobs place their records with the nodes closest to the key, this one among them: in a mesh of up
 * to twenty nodes with everybody. So a node hears of work for its models without asking anybody.
 */

import { base32 } from 'multiformats/bases/base32';
import type { NodeId } from '../protocol/ids.ts';
import { recordKey } from './dht.ts';

export interface HeardWorkDeps {
  readonly self: NodeId;
  readonly heard: (node: NodeId) => void;
}

export class HeardWork {
  readonly #deps: HeardWorkDeps;
  /** Keys of the models that this node serves, as the DHT's store names them. */
  #keys: ReadonlySet<string> = new Set();

  constructor(deps: HeardWorkDeps) {
    this.#deps = deps;
  }

  /** @param models canonical names */
  serves(models: readonly string[]): void {
    this.#keys = new Set(models.map((model) => base32.baseEncode(recordKey('work', model).multihash.bytes)));
  }

  /** @param storeKey of a record in the DHT's store: `…/provider/<multihash in base32>/<node>` (kad-dht `toProviderKey`) */
  onRecord(storeKey: string): void {
    const [node, key] = storeKey.split('/').reverse();
    if (node === undefined || key === undefined || node === this.#deps.self) return;
    if (this.#keys.has(key)) this.#deps.heard(node);
  }
}
