/** The node's one database: level, in the home folder, locked by the kernel for as long as the process lives. */

import { Level } from 'level';
import { GoGridError, systemCode } from '../errors.ts';

export type Database = Level<string, string>;

/**
 * Opens the database in `folder`, making it when there is none.
 * @throws GoGridError `home_in_use` when another process holds it, `damaged` when it cannot be read, `home_unusable`
 */
export async function openDatabase(folder: string): Promise<Database> {
  const database: Database = new Level(folder);
  try {
    await database.open();
    return database;
  } catch (thrown) {
    throw explained(folder, thrown);
  }
}

function explained(folder: string, thrown: unknown): GoGridError {
  // The open error wraps the store's own; both its code and its text come from LevelDB.
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  const code = systemCode(cause);
  const text = cause instanceof Error ? cause.message : String(cause);
  if (code === 'LEVEL_LOCKED') {
    return new GoGridError({
      code: 'home_in_use',
      message: `another node uses ${folder}`,
      hint: 'stop it, or start this one with --home and a folder of its own',
      cause,
    });
  }
  if (code === 'LEVEL_CORRUPTION' || /corrupt|checksum/i.test(text)) {
    return new GoGridError({
      code: 'damaged',
      message: `the database in ${folder} is damaged: ${text}`,
      hint: 'move the folder away and start again: job history is lost, keys and configuration are kept elsewhere',
      cause,
    });
  }
  return new GoGridError({
    code: 'home_unusable',
    message: `the database in ${folder} cannot be opened: ${text}`,
    hint: 'check that the folder is writable and the disk is not full',
    cause,
  });
}
