/**
 * `identity.unused`: says that the key of this home has never been used. `gogrid network create` writes it, and the first start
 * takes it away, so that a founder need not ask others for the newest entry of a log that cannot have any.
 *
 * A copy of a home carries it too, and who restores such a copy after the key was used would fork its log. So it
 * names the very file that the key was written into, by what no copy keeps, and holds for an hour, since an image of a
 * whole disk keeps even that. Whoever is doubted only has to ask its peers.
 */

import { open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../errors.ts';
import { HOME } from '../limits/program.ts';
import { type HomePaths, readSmallFile, replaceFile, unusable } from './home.ts';

const NAME = 'identity.unused';

/** @param now milliseconds since 1970 @throws GoGridError `home_unusable` */
export async function markUnused(home: HomePaths, now: number): Promise<void> {
  const mark = [await fingerprint(home.identityKey), String(now)];
  await replaceFile(fileIn(home), `${mark.join('\n')}\n`);
}

/**
 * Whether the key of this home has certainly never been used. Whoever asks uses it: nobody is told so a second time.
 * @param now milliseconds since 1970
 * @throws GoGridError `home_unusable` when the mark cannot be taken away: then it must not count either
 */
export async function takeUnused(home: HomePaths, now: number): Promise<boolean> {
  const file = fileIn(home);
  const text = await readSmallFile(file, HOME.maxKeyFileBytes);
  if (text === undefined) return false;
  const found = await fingerprint(home.identityKey);
  await takeAway(file);
  const [marked, at] = text.split('\n');
  const ageMs = now - Number(at);
  return marked === found && ageMs >= 0 && ageMs <= HOME.unusedKeyMs;
}

/** Empties it first, on the disk: a file that was only removed may be back after a crash. */
async function takeAway(file: string): Promise<void> {
  try {
    const handle = await open(file, 'r+');
    try {
      await handle.truncate(0);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rm(file);
  } catch (thrown) {
    throw unusable(file, thrown);
  }
}

/** Which file this is, on which disk, and when it was changed last, its name and rights included: a copy is another one. */
async function fingerprint(file: string): Promise<string> {
  try {
    const { dev, ino, ctimeNs } = await stat(file, { bigint: true });
    return `${dev}/${ino}/${ctimeNs}`;
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return 'no key';
    throw unusable(file, thrown);
  }
}

function fileIn({ folder }: HomePaths): string {
  return path.join(folder, NAME);
}
