/** What a client sees while its answer is not there yet, on a clock that the test moves. */

import { get, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import type { JobOutput } from '../jobs/output.ts';
import { API } from '../limits/api.ts';
import { done, placed, recording, type SmallApi, smallApi } from '../testing/small-api.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';

let small: SmallApi;
let clock: VirtualClock;
/** Lets the job go on: with an output, an error, or to its end. */
let next: (step: JobOutput | Error | undefined) => void;
let signals: readonly AbortSignal[];

afterEach(async () => {
  const stopped = small.api.stop(0);
  await clock.advance(API.lastWordsMs);
  await stopped;
});

async function start(): Promise<void> {
  clock = new VirtualClock();
  const steps: (JobOutput | Error | undefined)[] = [];
  let wake = () => {};
  next = (step) => {
    steps.push(step);
    wake();
  };
  const recorded = recording(async function* run(_spec, signal) {
    signal.addEventListener('abort', () => next(new GoGridError({ code: 'cancelled', message: 'gone' })));
    while (true) {
      while (steps.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const step = steps.shift();
      if (step === undefined) return;
      if (step instanceof Error) throw step;
      yield step;
    }
  });
  signals = recorded.signals;
  small = await smallApi({}, { clock, runJob: recorded.run });
}

interface Reader {
  readonly response: IncomingMessage | undefined;
  readonly text: string;
}

function post(path: string): Reader {
  const reader: { response: IncomingMessage | undefined; text: string } = { response: undefined, text: '' };
  const body = JSON.stringify({ model: 'tiny', prompt: 'x', stream: true, messages: [{ role: 'user', content: 'x' }] });
  const sent = request({ port: small.port, host: '127.0.0.1', path, method: 'POST', agent: false }, (response) => {
    reader.response = response;
    response.setEncoding('utf8');
    response.on('data', (part) => {
      reader.text += part;
    });
    response.on('error', () => {});
  });
  sent.on('error', () => {});
  sent.end(body);
  return reader;
}

it.each([
  ['/v1/chat/completions', ': keepalive\n\n', 'text/event-stream; charset=utf-8'],
  ['/api/chat', '"message":{"role":"assistant","content":""},"done":false}\n', 'application/x-ndjson'],
  ['/api/generate', '"response":"","done":false}\n', 'application/x-ndjson'],
])('%s shows life after 20 s and then every 15 s of silence', async (path, sign, type) => {
  await start();
  const reader = post(path);
  const signs = () => reader.text.split(sign).length - 1;
  await expect.poll(() => signals.length).toBe(1);
  next({ type: 'waiting', wait: { where: 'queue', ahead: 3 } });
  await clock.advance(API.headersWithinMs - 1);
  expect(reader.response).toBeUndefined();
  await clock.advance(1);
  await expect.poll(() => signs()).toBe(1);
  expect(reader.response?.statusCode).toBe(200);
  expect(reader.response?.headers['content-type']).toBe(type);
  await clock.advance(API.keepAliveEveryMs);
  await expect.poll(() => signs()).toBe(2);

  // Text is life too.
  await clock.advance(API.keepAliveEveryMs - 1_000);
  next(placed);
  next({ type: 'chunk', tokens: 1, text: 'Hello' });
  await expect.poll(() => reader.text).toContain('Hello');
  await clock.advance(API.keepAliveEveryMs - 1);
  expect(signs()).toBe(2);
  await clock.advance(1);
  await expect.poll(() => signs()).toBe(3);

  next(done);
  next(undefined);
  await expect.poll(() => reader.response?.complete).toBe(true);
  expect(clock.pending).toBe(0);
});

it('an error after a sign of life is an error of the stream', async () => {
  await start();
  const reader = post('/v1/chat/completions');
  await expect.poll(() => signals.length).toBe(1);
  await clock.advance(API.headersWithinMs);
  next(new GoGridError({ code: 'overloaded', message: 'busy after all' }));
  await expect.poll(() => reader.response?.complete).toBe(true);
  expect(reader.text).toMatch(/^: keepalive\n\ndata: \{"error":\{"message":"overloaded: busy after all".*\}\}\n\n$/);
});

it('an error line is followed by a pause, and then by the cut', async () => {
  await start();
  const reader = post('/api/chat');
  await expect.poll(() => signals.length).toBe(1);
  next(placed);
  next({ type: 'chunk', tokens: 1, text: 'half' });
  next(new GoGridError({ code: 'provider_lost', message: 'gone' }));
  await expect.poll(() => reader.text).toContain('{"error":"gone"}\n');
  expect(reader.response?.closed).toBe(false);
  await expect
    .poll(async () => {
      await clock.advance(API.errorLinePauseMs);
      return reader.response?.errored?.message;
    })
    .toBe('aborted');
  expect(reader.response?.complete).toBe(false);
});

it('a client that reads nothing for two minutes loses its job', async () => {
  await start();
  const body = JSON.stringify({ model: 'tiny', prompt: 'x' });
  const socket = connect(small.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  socket.write(`POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await expect.poll(() => signals.length).toBe(1);
  next(placed);
  const text = 'x'.repeat(1_000_000);
  for (let i = 0; i < 40; i++) next({ type: 'chunk', tokens: 1, text });
  // Beside the timer of signs of life there is now the one for a client that does not read.
  await expect.poll(() => clock.pending, { timeout: 5_000 }).toBe(2);
  await clock.advance(API.stalledClientMs - 1);
  expect(signals[0]?.aborted).toBe(false);
  await clock.advance(1);
  await expect.poll(() => signals[0]?.aborted).toBe(true);
  socket.destroy();
});

it('no timer is left of a client that hung up', async () => {
  await start();
  const reader = post('/api/chat');
  await expect.poll(() => signals.length).toBe(1);
  await clock.advance(API.headersWithinMs);
  await expect.poll(() => reader.response).toBeDefined();
  reader.response?.destroy();
  await expect.poll(() => clock.pending).toBe(0);
});

it('the banner never waits', async () => {
  await start();
  const status = await new Promise((resolve) => get(small.url, (response) => resolve(response.resume().statusCode)));
  expect(status).toBe(200);
});
