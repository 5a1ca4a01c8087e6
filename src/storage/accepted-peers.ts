/** Peers that this node's user has accepted or blocked, one list a mesh: what was decided in one means nothing in another. */

import { MESH } from '../limits/mesh.ts';
import type { Database } from './database.ts';
import { isNamedPeer, type NamedPeer } from './named-peer.ts';

interface Lists {
  readonly accepted: readonly NamedPeer[];
  readonly blocked: readonly NamedPeer[];
}

export class LevelAcceptedPeers {
  readonly #database: Database;
  readonly #key: string;

  /** @param networkId 32 bytes */
  constructor(database: Database, networkId: Uint8Array) {
    this.#database = database;
    this.#key = `peers/decided/${Buffer.from(networkId).toString('hex')}`;
  }

  /** A list that is not what was written is undefined. @throws Error when the disk cannot be read */
  async load(): Promise<{ [list in keyof Lists]: Lists[list] | undefined }> {
    const text = await this.#database.get(this.#key);
    if (text === undefined) return { accepted: [], blocked: [] };
    const { accepted, blocked } = parsed(text);
    return { accepted: acceptedIn(accepted), blocked: blockedIn(blocked) };
  }

  /** Replaces both lists; resolves when they are on the disk itself: a user who accepts is not asked again after a power cut. */
  async save(lists: Lists): Promise<void> {
    await this.#database.put(this.#key, JSON.stringify(lists), { sync: true });
  }
}

function parsed(text: string): Partial<Record<keyof Lists, unknown>> {
  try {
    return (JSON.parse(text) as Partial<Record<keyof Lists, unknown>> | null) ?? {};
  } catch {
    return {};
  }
}

/** Whoever cannot be read is asked about again. */
function acceptedIn(list: unknown): NamedPeer[] | undefined {
  return Array.isArray(list) ? list.filter(isNamedPeer).slice(0, MESH.maxAccepted) : undefined;
}

/** Whoever cannot be read would come in again: then the list as a whole is damaged. */
function blockedIn(list: unknown): NamedPeer[] | undefined {
  return Array.isArray(list) && list.every(isNamedPeer) ? list.slice(0, MESH.maxAccepted) : undefined;
}
