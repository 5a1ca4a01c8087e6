/** How the API ends over real sockets: who is answered still, and who is told to come back. */

import { Agent } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import { ask, done, placed, recording, type SmallApi, smallApi, testKey } from '../testing/small-api.ts';
import { askWith } from '../testing/sockets.ts';
import type { ApiDeps } from './server.ts';

const chat = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hi' }] });
const generate = JSON.stringify({ model: 'tiny', prompt: 'hi' });
let small: SmallApi;

afterEach(() => small.api.stop(0));

async function start(deps: Partial<ApiDeps> = {}): Promise<number> {
  small = await smallApi({}, deps);
  return small.port;
}

/** A job that says `a` and, when `finish` is called, `b`. */
function heldAnswer() {
  const { promise: held, resolve: finish } = Promise.withResolvers<void>();
  const recorded = recording(async function* slow() {
    yield placed;
    yield { type: 'chunk', tokens: 1, text: 'a' };
    await held;
    yield { type: 'chunk', tokens: 1, text: 'b' };
    yield done;
  });
  return { ...recorded, finish };
}

describe('stopping', () => {
  it('lets running answers finish, and takes no more', async () => {
    const { run, signals, finish } = heldAnswer();
    const port = await start({ runJob: run });
    const agent = new Agent({ keepAlive: true, maxSockets: 2 });
    const answer = askWith(agent, port, '/api/generate', generate, new Set());
    await expect.poll(() => signals.length).toBe(1);
    const stopped = small.api.stop(60_000);
    await expect(ask(port, '/api/version')).rejects.toThrow('ECONNREFUSED');
    finish();
    expect(await answer).toContain('"response":"b"');
    await stopped;
    agent.destroy();
  });

  it('while it drains answers who asks about the node, and nobody who asks a model', async () => {
    const { run, signals, finish } = heldAnswer();
    const port = await start({ runJob: run });
    const headers = { authorization: `Bearer ${testKey}` };
    const answer = ask(port, '/api/generate', { method: 'POST', body: generate });
    const follower = await fetch(`${small.url}/logs?follow=1`, { headers });
    await expect.poll(() => signals.length).toBe(1);
    const drained = small.api.drain(60_000);
    for (const path of ['/status', '/jobs', '/health/runtime', '/health']) {
      expect(await ask(port, path, { headers })).toMatchObject({ status: 200 });
    }
    expect(await ask(port, '/stop', { method: 'POST', headers })).toMatchObject({ status: 200 });
    const refused = await ask(port, '/v1/chat/completions', { method: 'POST', body: chat });
    expect(refused).toMatchObject({ status: 503, text: expect.stringContaining('shutting_down') });
    finish();
    // A follower of the log is no answer: the drain is over without it, and the log goes on.
    await drained;
    expect((await answer).text).toContain('"response":"b"');
    expect(await ask(port, '/status', { headers })).toMatchObject({ status: 200 });
    await small.api.stop(0);
    await expect(ask(port, '/status', { headers })).rejects.toThrow('ECONNREFUSED');
    expect(await follower.text()).toContain('"two"');
  });

  it('ends what does not finish in time, so that no client takes it for whole', async () => {
    const hang = recording(async function* hang(_spec, signal) {
      yield placed;
      yield { type: 'chunk', tokens: 1, text: 'a' };
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      throw new GoGridError({ code: 'cancelled', message: 'the client hung up' });
    });
    const port = await start({ runJob: hang.run });
    const body = JSON.stringify({ ...JSON.parse(chat), stream: true });
    const stream = ask(port, '/v1/chat/completions', { method: 'POST', body });
    const whole = ask(port, '/v1/chat/completions', { method: 'POST', body: chat });
    const headers = { authorization: `Bearer ${testKey}` };
    const follower = ask(port, '/logs?follow=1', { headers });
    await expect.poll(() => hang.signals.length).toBe(2);
    await small.api.stop(50);
    expect((await stream).text).toMatch(/"code":"shutting_down"\}\}\n\n$/);
    expect((await stream).text).not.toContain('[DONE]');
    expect(await whole).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect((await follower).text).toContain('"two"');
    expect(hang.signals.every((signal) => signal.aborted)).toBe(true);
  });

  it('does not wait for followers of the log', async () => {
    await start();
    const headers = { authorization: `Bearer ${testKey}` };
    const follower = await fetch(`${small.url}/logs?follow=1`, { headers });
    await small.api.stop(60_000);
    expect(await follower.text()).toContain('"two"');
  });

  it('may be asked twice, and before a start', async () => {
    await start();
    await small.api.stop(0);
    await small.api.stop(0);
  });
});
