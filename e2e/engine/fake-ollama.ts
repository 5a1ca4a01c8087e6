/**
 * A fake Ollama in a process of its own: `node fake-ollama.ts '{"port": 0, …settings}'`.
 * The first line on stdout is its port. It ends when its stdin does, so that it never outlives who started it.
 */

import type { AddressInfo } from 'node:net';
import { FakeOllama } from './server.ts';

const { port = 0, ...settings } = JSON.parse(process.argv[2] ?? '{}');
const server = new FakeOllama(settings).server();
server.keepAliveTimeout = 0;
server.listen(port, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
process.stdin.on('close', () => process.exit(0)).resume();
