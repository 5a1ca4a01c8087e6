import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const launcher = fileURLToPath(new URL('launcher.ts', import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'gogrid-launcher-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Builds the launcher as if `oldestNode` were required, with a program that says one word, and runs it. */
async function launch(oldestNode: string): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const file = path.join(folder, 'launcher.mjs');
  await build({
    entryPoints: [launcher],
    outfile: file,
    bundle: true,
    format: 'esm',
    platform: 'node',
    define: { GOGRID_OLDEST_NODE: JSON.stringify(oldestNode) },
    plugins: [
      {
        name: 'a-program-that-says-one-word',
        setup(build) {
          build.onLoad({ filter: /main\.ts$/ }, () => ({ contents: 'process.stdout.write("started")', loader: 'ts' }));
        },
      },
    ],
  });
  const env = { ...process.env, XDG_CACHE_HOME: folder, LOCALAPPDATA: folder };
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8', env });
  return { status, stdout, stderr };
}

describe('launcher', () => {
  it('starts the program on a Node that is new enough', async () => {
    expect(await launch('22.12')).toEqual({ status: 0, stdout: 'started', stderr: '' });
  });

  it.each(['99.0', `${process.versions.node.split('.')[0]}.999`])(
    'says what is missing when %s is needed',
    async (needed) => {
      const { status, stdout, stderr } = await launch(needed);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toContain(`GoGrid needs Node ${needed} or newer, and this is Node ${process.versions.node}.`);
      expect(stderr.trimEnd().split('\n')).toHaveLength(2);
    },
  );
});
