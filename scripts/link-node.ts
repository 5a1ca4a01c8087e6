/**
 * Puts the pinned Node into `node_modules/.bin`, where npm scripts and `npx` find it first, if npm did not.
 *
 * npm 10 does not: all `node-<os>-<cpu>` packages call their program `node`, and when npm 10 drops the ones that do not fit
 * this machine, it also deletes `.bin/node`, which belongs to the one that fits. npm 11 keeps it.
 */
import { existsSync, lstatSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const systemNames: Readonly<Record<string, string>> = { linux: 'linux', win32: 'win' };

/**
 * Links the pinned Node of the checkout at `root`, for the given `process.platform` and `process.arch`.
 * @returns true when it made a link, false when there is one already or no package for this machine.
 */
export function linkPinnedNode(root: string, platform: string, arch: string): boolean {
  const name = `node-${systemNames[platform] ?? platform}-${arch}`;
  const program = path.join(root, 'node_modules', name, 'bin', platform === 'win32' ? 'node.exe' : 'node');
  const link = path.join(root, 'node_modules', '.bin', platform === 'win32' ? 'node.cmd' : 'node');
  if (!existsSync(program) || existsSync(link)) return false;
  // A link that leads nowhere does not "exist", and would still be in the way.
  if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) rmSync(link);
  if (platform === 'win32') writeFileSync(link, `@"%~dp0..\\${name}\\bin\\node.exe" %*\r\n`);
  else symlinkSync(path.relative(path.dirname(link), program), link);
  return true;
}
