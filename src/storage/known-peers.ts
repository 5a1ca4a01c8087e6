/** Addresses of peers that worked, so that a node finds its mesh again without the one that introduced it. */

import { MESH } from '../limits.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Database } from './database.ts';

const KEY = 'peers/known';

export class LevelKnownPeers {
  readonly #database: Database;
  readonly #log: Logger;

  constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#log = log;
  }

  /** Multiaddrs with `/p2p`, the best known first. */
  async load(): Promise<string[]> {
    const text = await this.#database.get(KEY);
    const list: unknown = text === undefined ? [] : JSON.parse(text);
    return Array.isArray(list) ? list.filter((item) => typeof item === 'string').slice(0, MESH.maxKnownPeers) : [];
  }

  /** Replaces the list; in the background. */
  save(addresses: readonly string[]): void {
    const text = JSON.stringify(addresses.slice(0, MESH.maxKnownPeers));
    this.#database.put(KEY, text).catch((err) => this.#log.warn({ error: err }, 'known peers could not be written'));
  }
}
