import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Clock, systemClock } from '../../clock.ts';
import { ENGINE } from '../../limits/engine.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { LineStream, type LineStreamOptions, openWire, type Wire } from './line-stream.ts';

const never = new AbortController().signal;
const open: { server: Server; wire: Wire }[] = [];

afterEach(() => {
  for (const { server, wire } of open.splice(0)) {
    wire.close();
    server.close();
    server.closeAllConnections();
  }
});

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** A daemon that answers every request with `answer`. */
async function serve(answer: Answer, clock: Clock = systemClock) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(response, request));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const wire = openWire(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, clock);
  open.push({ server, wire });
  const ask = (more: Partial<LineStreamOptions> = {}, signal = never) => {
    const options = {
      path: '/api/chat',
      body: '{}',
      model: 'm',
      maxLineBytes: 1000,
      stallMs: 30_000,
      firstLineMs: 60_000,
    };
    return new LineStream(wire, { ...options, ...more }, signal);
  };
  return { server, wire, ask };
}

async function linesOf(stream: LineStream): Promise<string[]> {
  const all: string[] = [];
  for (let lines = await stream.next(); lines !== undefined; lines = await stream.next()) all.push(...lines);
  stream.close(true);
  return all;
}

/** Sends bytes in pieces of the given sizes, each on its own way. */
async function sendInPieces(response: ServerResponse, bytes: Buffer, sizes: readonly number[]): Promise<void> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const end = at + (sizes[turn % sizes.length] ?? 1);
    response.write(bytes.subarray(at, end));
    at = end;
    await new Promise(setImmediate);
  }
  response.end();
}

describe('lines', () => {
  it('are the same however the answer is cut into pieces', async () => {
    const text = fc.string({ unit: fc.oneof(fc.constantFrom('🚀', '数', 'é', ' '), fc.string({ minLength: 1 })) });
    const lines = fc.array(
      text.map((line) => line.replaceAll('\n', '')),
      { maxLength: 12 },
    );
    let pending: { bytes: Buffer; sizes: readonly number[] } | undefined;
    const { ask } = await serve((response) => {
      if (pending !== undefined) void sendInPieces(response, pending.bytes, pending.sizes);
    });
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(lines, sizes, fc.boolean(), async (sent, cuts, lastNewline) => {
        const body = sent.join('\n') + (lastNewline && sent.length > 0 ? '\n' : '');
        pending = { bytes: Buffer.from(body), sizes: cuts };
        const received = await linesOf(ask());
        expect(received.join('\n')).toBe(body.endsWith('\n') ? body.slice(0, -1) : body);
      }),
      { numRuns: 60 },
    );
  });

  it('that come in one read of the socket are handed over at once', async () => {
    const { ask } = await serve((response) => {
      response.cork();
      for (const line of ['a', 'b', 'c']) response.write(`${line}\n`);
      response.uncork();
    });
    const stream = ask();
    expect(await stream.next()).toEqual(['a', 'b', 'c']);
    stream.close(false);
  });

  it('may not be longer than the bound', async () => {
    const { ask } = await serve((response) => response.write('x'.repeat(5000)));
    await expect(ask().next()).rejects.toMatchObject({ code: 'engine_failed' });
  });
});

describe('connections', () => {
  it('are kept for the next call when the answer was complete', async () => {
    const sockets = new Set<Socket>();
    const { ask, server } = await serve((response) => response.end('a\n'));
    server.on('connection', (socket) => sockets.add(socket));
    for (let call = 0; call < 3; call++) {
      await linesOf(ask());
      await new Promise(setImmediate);
    }
    expect(sockets.size).toBe(1);
  });

  it('are closed at once when it was not', async () => {
    const closed = vi.fn();
    const { ask } = await serve((response) => {
      response.on('close', closed);
      response.write('a\n');
    });
    const stream = ask();
    await stream.next();
    stream.close(false);
    await vi.waitFor(() => expect(closed).toHaveBeenCalled(), { timeout: 5_000 });
  });

  it('that the daemon closed while they were idle cost no call', async () => {
    let calls = 0;
    const { ask } = await serve((response, request) => {
      calls++;
      // The second request meets a socket that closes under it, as one does that was idle for too long.
      if (calls === 2) request.socket.destroy();
      else response.end(`${calls}\n`);
    });
    expect(await linesOf(ask())).toEqual(['1']);
    await new Promise(setImmediate);
    expect(await linesOf(ask())).toEqual(['3']);
  });

  it('are given up when nobody listens', async () => {
    const { ask, server } = await serve(() => {});
    server.close();
    await once(server, 'close');
    await expect(ask().next()).rejects.toMatchObject({ code: 'engine_unavailable', hint: expect.any(String) });
  });

  it('that break in the middle give what came, then the failure', async () => {
    const { ask } = await serve((response) => {
      response.write('a\nb', () => response.destroy());
    });
    const stream = ask();
    expect(await stream.next()).toEqual(['a']);
    await expect(stream.next()).rejects.toMatchObject({ code: 'engine_failed' });
  });
});

describe('failures', () => {
  it('with a status are read from the body', async () => {
    const { ask } = await serve((response) => response.writeHead(404).end('{"error":"model \'m\' not found"}'));
    await expect(ask().next()).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('of a proxy are cut', async () => {
    const { ask } = await serve((response) => response.writeHead(502).end('<html>'.repeat(10_000)));
    const error: unknown = await ask()
      .next()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'engine_failed' });
    expect((error as Error).message.length).toBeLessThan(400);
  });

  it('a redirect is one too', async () => {
    const { ask } = await serve((response) => response.writeHead(302, { location: '/' }).end());
    await expect(ask().next()).rejects.toMatchObject({ code: 'engine_failed' });
  });

  it('silence counts only while somebody waits', async () => {
    const clock = new VirtualClock();
    const { ask } = await serve((response) => response.write('a\n'), clock);
    const stream = ask({ stallMs: 30_000 });
    await stream.next();
    await clock.advance(300_000);
    const failed = vi.fn();
    const waiting = stream.next().catch(failed);
    await clock.advance(30_000);
    expect(failed).not.toHaveBeenCalled();
    await clock.advance(ENGINE.stallCheckMs);
    await waiting;
    expect(failed.mock.calls).toMatchObject([[{ code: 'engine_failed', message: expect.stringContaining('31 s') }]]);
    expect(clock.pending).toBe(0);
  });

  it('an abort wins over what has come already', async () => {
    const { ask } = await serve((response) => response.write('a\n'));
    const stop = new AbortController();
    const stream = ask({}, stop.signal);
    await stream.next();
    stop.abort();
    await expect(stream.next()).rejects.toMatchObject({ code: 'cancelled' });
  });
});
