/** Addresses of peers that worked, so that a node finds its mesh again without the one that introduced it. */

import { MESH } from '../limits/mesh.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Database } from './database.ts';

export class LevelKnownPeers {
  readonly #database: Database;
  readonly #key: string;
  readonly #log: Logger;

  /** @param networkId 32 bytes: a home that changes its mesh does not dial the nodes of the one before */
  constructor(database: Database, networkId: Uint8Array, log: Logger) {
    this.#database = database;
    this.#key = `peers/known/${Buffer.from(networkId).toString('hex')}`;
    this.#log = log;
  }

  /** Multiaddrs with `/p2p`, the best known first. */
  async load(): Promise<string[]> {
    const text = await this.#database.get(this.#key);
    const list: unknown = text === undefined ? [] : JSON.parse(text);
    return Array.isArray(list) ? list.filter((item) => typeof item === 'string').slice(0, MESH.maxKnownPeers) : [];
  }

  /** Replaces the list; in the background. */
  save(addresses: readonly string[]): void {
    const text = JSON.stringify(addresses.slice(0, MESH.maxKnownPeers));
    this.#database
      .put(this.#key, text)
      .catch((err) => this.#log.warn({ error: err }, 'known peers could not be written'));
  }
}
