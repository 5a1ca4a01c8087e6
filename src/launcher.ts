#!/usr/bin/env node
/**
 * The first file of the bundle (`dist/gogrid.js`). It must run under any Node that knows ES modules, so that an old one
 * gets a sentence and not a stack trace: therefore no newer syntax here, and the program comes by a dynamic import.
 * It reads the environment for one thing that must be known before the program is loaded: the user's cache folder.
 */
import module from 'node:module';
import os from 'node:os';
import path from 'node:path';

/** The oldest Node that runs the program, as in `engines` of package.json: `22.12`. Put in by scripts/build.ts. */
declare const GOGRID_OLDEST_NODE: string;

function isTooOld(version: string): boolean {
  const have = version.split('.').map(Number);
  const need = GOGRID_OLDEST_NODE.split('.').map(Number);
  const difference = (have[0] || 0) - (need[0] || 0) || (have[1] || 0) - (need[1] || 0);
  return difference < 0;
}

/**
 * Where V8 keeps the compiled code between starts. Node's default lies in the shared temporary folder, where another user
 * of the machine could create it first and so decide what code we run; the user's own cache folder is theirs alone.
 */
function compileCacheFolder(): string {
  const home = os.homedir();
  if (process.platform === 'win32') return path.join(process.env.LOCALAPPDATA || home, 'gogrid', 'compile-cache');
  if (process.platform === 'darwin') return path.join(home, 'Library', 'Caches', 'gogrid', 'compile-cache');
  return path.join(process.env.XDG_CACHE_HOME || path.join(home, '.cache'), 'gogrid', 'compile-cache');
}

function enableCompileCache(): void {
  try {
    module.enableCompileCache(compileCacheFolder());
  } catch {
    // A container without a home folder has nowhere to keep it: the start takes a little longer, nothing else.
  }
}

if (isTooOld(process.versions.node)) {
  process.stderr.write(
    `GoGrid needs Node ${GOGRID_OLDEST_NODE} or newer, and this is Node ${process.versions.node}.\n` +
      'Install a newer Node from https://nodejs.org, or run `npm start`, which uses the one that `npm ci` installed.\n',
  );
  process.exitCode = 1;
} else {
  enableCompileCache();
  void import('./main.ts');
}
