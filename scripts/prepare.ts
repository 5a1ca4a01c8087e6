/** What `npm ci` runs at its end: after it, `npm start` and `npx gogrid` work under the pinned Node. */
import { fileURLToPath } from 'node:url';
import { buildProgram } from './build.ts';
import { linkPinnedNode } from './link-node.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

if (linkPinnedNode(root, process.platform, process.arch)) process.stdout.write('node_modules/.bin/node: linked\n');
process.stdout.write(`${await buildProgram(root)}\n`);
