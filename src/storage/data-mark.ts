/**
 * `data/mark-…`: tells a data folder that was copied, or put back from a backup, from the one that this node used last. Every
 * start makes a new mark, and notes in the database which it is and when its file was changed last, its name and rights
 * included: no copy keeps that, and a backup that is older than a start names a mark that is gone.
 *
 * Not told apart: an image of a whole disk, and a backup made while the node ran that is put back, before its next start, file
 * by file over what is there. Taken for a copy: a folder whose rights were set anew.
 */

import { randomBytes } from 'node:crypto';
import { open, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../errors.ts';
import type { LedgerNotes } from '../ledger/ports.ts';
import { HOME } from '../limits/program.ts';
import { unusable } from './home.ts';

const NOTE = 'data-mark';

export interface DataMark {
  /** Whether the database was written in another folder than this one. */
  readonly isCopy: boolean;
  /** From here on this is the folder. @throws GoGridError `disk_full`, `home_unusable`; the mark before is then still good */
  renew(): Promise<void>;
}

/**
 * @param folder that of the database which the notes lie in; LevelDB leaves alone what it does not know
 * @param networkId of the mesh that the notes are of: each has its own mark
 * @throws GoGridError `damaged`, `home_unusable`
 */
export async function readDataMark(
  folder: string,
  networkId: Uint8Array,
  notes: Pick<LedgerNotes, 'get' | 'put'>,
): Promise<DataMark> {
  const prefix = `mark-${Buffer.from(networkId.subarray(0, 8)).toString('hex')}-`;
  const noted = await notes.get(NOTE);
  return {
    isCopy: noted !== undefined && !(await isHere(folder, prefix, Buffer.from(noted).toString('utf8'))),
    async renew() {
      const name = `${prefix}${randomBytes(8).toString('hex')}`;
      await makeFile(path.join(folder, name));
      await notes.put([[NOTE, Buffer.from(await factsOf(folder, name))]]);
      await removeOthers(folder, prefix, name);
    },
  };
}

async function isHere(folder: string, prefix: string, noted: string): Promise<boolean> {
  const [name = ''] = noted.split(' ');
  return name.startsWith(prefix) && path.basename(name) === name && noted === (await factsOf(folder, name));
}

/** The number of the disk and the file say nothing more, and some systems number them anew at every boot. */
async function factsOf(folder: string, name: string): Promise<string> {
  const file = path.join(folder, name);
  try {
    const { ctimeNs } = await stat(file, { bigint: true });
    return `${name} ${ctimeNs}`;
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return 'no mark';
    throw unusable(file, thrown);
  }
}

async function makeFile(file: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', HOME.secretFileMode);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    throw unusable(file, thrown);
  }
}

async function removeOthers(folder: string, prefix: string, name: string): Promise<void> {
  try {
    for (const other of await readdir(folder)) {
      if (other.startsWith(prefix) && other !== name) await rm(path.join(folder, other), { force: true });
    }
  } catch (thrown) {
    throw unusable(folder, thrown);
  }
}
