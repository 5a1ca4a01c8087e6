/** Looking at what answers on a port, with real servers that do not behave. */

import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { DOCTOR } from '../limits/program.ts';
import { lookAtOllama, lookAtPort } from './look.ts';

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
  server = undefined;
});

async function serve(answer: RequestListener): Promise<number> {
  const made = createServer(answer);
  server = made;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return (made.address() as AddressInfo).port;
}

it('tells the version of an Ollama, wherever in the address it is told to look', async () => {
  const port = await serve(({ url }, response) => response.end(url === '/api/version' ? '{"version":"0.24.0"}' : '?'));
  expect(await lookAtOllama(`http://127.0.0.1:${port}`)).toBe('0.24.0');
  expect(await lookAtOllama(`http://127.0.0.1:${port}/`)).toBe('0.24.0');
});

it('an address with https is looked at, and one where nobody speaks it is silent', async () => {
  const port = await serve((_request, response) => response.end('{"version":"0.24.0"}'));
  expect(await lookAtOllama(`https://127.0.0.1:${port}`)).toBeUndefined();
});

it.each([
  ['says nothing', () => {}],
  ['sends its answer drop by drop', (_request, response) => void drip(response)],
] satisfies [string, RequestListener][])('gives up on one that %s', async (_what, answer) => {
  const port = await serve(answer);
  const since = performance.now();
  expect(await lookAtPort('127.0.0.1', port)).toMatchObject({ state: 'taken', by: 'another program' });
  expect(performance.now() - since).toBeLessThan(3 * DOCTOR.probeMs);
});

it('reads no more than the beginning', async () => {
  const port = await serve((_request, response) => {
    const more = () => {
      while (response.write('x'.repeat(DOCTOR.maxProbeChars)));
      response.once('drain', more);
    };
    response.write('Ollama is running');
    more();
  });
  expect(await lookAtPort('127.0.0.1', port)).toMatchObject({ by: 'Ollama' });
});

function drip(response: Parameters<RequestListener>[1]): void {
  const timer = setInterval(() => response.write('x'), 20);
  response.on('close', () => clearInterval(timer));
}
