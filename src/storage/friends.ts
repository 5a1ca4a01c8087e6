/** The peers that may see prompts of the privacy tier `friends`, one list a mesh, kept in memory and on disk. */

import { GoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Database } from './database.ts';
import { isNamedPeer, type NamedPeer } from './named-peer.ts';

export class LevelFriends {
  readonly #database: Database;
  readonly #key: string;
  readonly #friends = new Map<NodeId, NamedPeer>();
  /** Settles when the last write that was asked for is over, well or not. */
  #lastWrite: Promise<void> = Promise.resolve();

  private constructor(database: Database, key: string, friends: readonly NamedPeer[]) {
    this.#database = database;
    this.#key = key;
    this.#fill(friends);
  }

  /**
   * Reads the list. Whoever cannot be read is no friend, which is the safe side.
   * @param networkId 32 bytes
   * @throws Error when the disk cannot be read
   */
  static async open(database: Database, networkId: Uint8Array, log: Logger): Promise<LevelFriends> {
    const key = `peers/friends/${Buffer.from(networkId).toString('hex')}`;
    const friends = friendsIn(await database.get(key));
    if (friends === undefined) {
      log.warn({}, 'the list of friends is damaged, and counts as empty: gogrid peers friend NAME makes it anew');
    }
    return new LevelFriends(database, key, friends ?? []);
  }

  has(node: NodeId): boolean {
    return this.#friends.has(node);
  }

  list(): readonly NamedPeer[] {
    return [...this.#friends.values()];
  }

  /**
   * Replaces the list. Holds at once, for the rest of this run whatever the disk does.
   * @param friends at most `MESH.maxFriends`
   * @returns when it is on the disk itself: whoever was taken off does not come back after a power cut
   */
  replace(friends: readonly NamedPeer[]): Promise<void> {
    this.#fill(friends);
    return this.#save();
  }

  /**
   * As `replace`, with this one too. Of several at once none undoes another.
   * @throws GoGridError `invalid_request` when the list is full
   */
  async add(friend: NamedPeer): Promise<void> {
    if (this.#friends.size >= MESH.maxFriends && !this.#friends.has(friend.node)) {
      const message = `${MESH.maxFriends} peers are friends already, and that is the most`;
      throw new GoGridError({ code: 'invalid_request', message, hint: 'take one off the list: gogrid peers unfriend' });
    }
    this.#friends.set(friend.node, friend);
    await this.#save();
  }

  /** As `replace`, without this one; nothing is written when it was no friend. */
  async remove(node: NodeId): Promise<void> {
    if (this.#friends.delete(node)) await this.#save();
  }

  #fill(friends: readonly NamedPeer[]): void {
    this.#friends.clear();
    for (const friend of friends.slice(0, MESH.maxFriends)) this.#friends.set(friend.node, friend);
  }

  /** One write after the other: a disk may end two that are on their way in either order. Each writes what holds by then. */
  #save(): Promise<void> {
    const write = this.#lastWrite.then(() =>
      this.#database.put(this.#key, JSON.stringify(this.list()), { sync: true }),
    );
    this.#lastWrite = write.catch(() => undefined);
    return write;
  }
}

/** @returns undefined when it is not what was written */
function friendsIn(text: string | undefined): NamedPeer[] | undefined {
  if (text === undefined) return [];
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.filter(isNamedPeer) : undefined;
  } catch {
    return undefined;
  }
}
