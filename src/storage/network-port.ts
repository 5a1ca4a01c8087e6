/**
 * The port that this node took when the usual one was busy. It is kept, because by then others know the node's address; a port
 * that somebody has set is never looked up here.
 */

import type { Logger } from '../telemetry/logger.ts';
import type { Database } from './database.ts';

const KEY = 'network/port';

export class LevelNetworkPort {
  readonly #database: Database;
  readonly #log: Logger;
  /** 1 to 65535; undefined when the usual one was free so far. */
  readonly remembered: number | undefined;

  private constructor(database: Database, log: Logger, remembered: number | undefined) {
    this.#database = database;
    this.#log = log;
    this.remembered = remembered;
  }

  static async open(database: Database, log: Logger): Promise<LevelNetworkPort> {
    const port = Number(await database.get(KEY));
    const valid = Number.isInteger(port) && port > 0 && port <= 65_535;
    return new LevelNetworkPort(database, log, valid ? port : undefined);
  }

  /** Keeps a port for the next start; in the background. */
  remember(port: number): void {
    this.#database
      .put(KEY, String(port))
      .catch((error) => this.#log.warn({ error }, 'the network port could not be written down'));
  }
}
