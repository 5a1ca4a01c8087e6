/** A database in a temporary folder, a new one for every test of a file. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { type Database, openDatabase } from '../storage/database.ts';

export interface SmallDatabase {
  /** The one that is open. */
  readonly database: Database;
  readonly folder: string;
  /** Ends and starts again, as a node would. */
  reopen(): Promise<Database>;
}

/** To be called where tests are declared; it is opened before each of them, and removed after it. */
export function smallDatabase(): SmallDatabase {
  let folder: string;
  let database: Database;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'gogrid-database-'));
    database = await openDatabase(folder);
  });
  afterEach(async () => {
    await database.close();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    get database() {
      return database;
    },
    get folder() {
      return folder;
    },
    async reopen() {
      await database.close();
      database = await openDatabase(folder);
      return database;
    },
  };
}
