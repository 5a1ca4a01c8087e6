/** Builds the program: `src/` and its dependencies become a few files in `dist/`, started by `dist/gogrid.js`. */
import { chmod, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
}

/** Packages with a native addon find it beside their own files, so they stay outside the bundle. */
const external = ['classic-level', 'node-llama-cpp', '@chainsafe/libp2p-quic'];

/** Some dependencies are CommonJS and call `require` for Node's own modules; an ES module has no `require` of its own. */
const requireForCommonJs =
  "import { createRequire as createRequireOfBundle } from 'node:module'; " +
  'const require = createRequireOfBundle(import.meta.url);';

/**
 * Builds the checkout at `root` from nothing.
 * @param folder where to, relative to `root`: `dist/`, or one of its own for a test run that a build must not disturb
 * @returns one line that says what was built and how large it is.
 */
export async function buildProgram(root: string, folder = 'dist'): Promise<string> {
  const manifest = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as Manifest;
  await rm(path.join(root, folder), { recursive: true, force: true });
  const result = await build({
    absWorkingDir: root,
    // The node finds the program that runs models beside its own chunks (src/inference/embedded/model-process.ts).
    entryPoints: { gogrid: 'src/launcher.ts', embedded: 'src/inference/embedded/child.ts' },
    outdir: folder,
    // Splitting keeps the launcher apart from the program, and gives every dynamic import a file that only its user loads.
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.12',
    external,
    banner: { js: requireForCommonJs },
    define: {
      GOGRID_VERSION: JSON.stringify(manifest.version),
      GOGRID_OLDEST_NODE: JSON.stringify(manifest.engines.node.replace('>=', '')),
    },
    // Not minified: it starts no faster for it (measured), and stack traces keep their names.
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'linked',
    metafile: true,
    logLevel: 'warning',
  });
  await chmod(path.join(root, folder, 'gogrid.js'), 0o755);

  const scripts = Object.entries(result.metafile.outputs).filter(([file]) => file.endsWith('.js'));
  const bytes = scripts.reduce((sum, [, output]) => sum + output.bytes, 0);
  return `${folder}/gogrid.js: ${(bytes / 1024).toFixed(0)} KiB in ${scripts.length} files`;
}
