/** Peers that this node's user has accepted or blocked, one list a mesh: what was decided in one means nothing in another. */

import { MESH } from '../limits.ts';
import { isNodeId } from '../protocol/ids.ts';
import type { Database } from './database.ts';

interface Peer {
  readonly node: string;
  readonly name: string;
}

interface Lists {
  readonly accepted: readonly Peer[];
  readonly blocked: readonly Peer[];
}

export class LevelAcceptedPeers {
  readonly #database: Database;
  readonly #key: string;

  /** @param networkId 32 bytes */
  constructor(database: Database, networkId: Uint8Array) {
    this.#database = database;
    this.#key = `peers/decided/${Buffer.from(networkId).toString('hex')}`;
  }

  /** @throws Error when what is on disk is not what was written */
  async load(): Promise<Lists> {
    const text = await this.#database.get(this.#key);
    if (text === undefined) return { accepted: [], blocked: [] };
    const { accepted, blocked } = JSON.parse(text) as Partial<Record<keyof Lists, unknown>>;
    return { accepted: peersIn(accepted), blocked: peersIn(blocked) };
  }

  /** Replaces both lists; resolves when they are on the disk itself: a user who accepts is not asked again after a power cut. */
  async save(lists: Lists): Promise<void> {
    await this.#database.put(this.#key, JSON.stringify(lists), { sync: true } as object);
  }
}

function peersIn(list: unknown): Peer[] {
  if (!Array.isArray(list)) throw new Error('the list of accepted peers is damaged');
  return list
    .filter(
      (item): item is Peer => typeof item?.node === 'string' && typeof item.name === 'string' && isNodeId(item.node),
    )
    .slice(0, MESH.maxAccepted);
}
