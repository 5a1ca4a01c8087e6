/** Reading what lies in the store's notes (`ports.ts`). */

import { GoGridError } from '../errors.ts';

/**
 * What `read` makes of a note.
 * @param key of the note, for the message
 * @throws GoGridError `damaged` when `read` throws: who cannot tell what it has promised or signed must not go on
 */
export function readNote<T>(key: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new GoGridError({ code: 'damaged', message: `the note ${key} cannot be read`, cause });
  }
}
