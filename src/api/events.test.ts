/** Server-sent events: in order, without a gap for who comes back, and never more than a client reads. */

import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { type NodeEvent, nodeEvent } from '../contract/events.ts';
import { EVENTS } from '../limits/api.ts';
import { certify, FOUNDER, Writer } from '../testing/ledger/authors.ts';
import { type SmallApi, smallApi, testKey } from '../testing/small-api.ts';
import { type SmallLedger, smallLedger } from '../testing/small-ledger.ts';
import { EventRing } from './events.ts';

let small: SmallApi | undefined;
let node: SmallLedger | undefined;
const clients: ClientRequest[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await small?.api.stop(0);
  await node?.stop();
  small = undefined;
  node = undefined;
});

const signing = (reason: string): NodeEvent => ({ type: 'signing', at: 1, state: 'starting', reason });

interface Reader {
  readonly response: IncomingMessage;
  readonly text: () => string;
  /** What came so far. */
  readonly events: () => readonly { readonly id: string; readonly type: string; readonly event: NodeEvent }[];
  close(): void;
}

function listen(lastId?: string): Promise<Reader> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${testKey}`, ...(lastId !== undefined && { 'last-event-id': lastId }) };
    const client = request({ host: '127.0.0.1', port: small?.port, path: '/events', headers, agent: false });
    clients.push(client);
    client.on('error', reject);
    client.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', () => undefined);
      resolve({ response, text: () => text, events: () => parsed(text), close: () => client.destroy() });
    });
    client.end();
  });
}

function parsed(text: string) {
  return text.split('\n\n').flatMap((block) => {
    const fields = new Map(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
    );
    const data = fields.get('data');
    if (data === undefined) return [];
    return [{ id: fields.get('id') ?? '', type: fields.get('event') ?? '', event: nodeEvent.parse(JSON.parse(data)) }];
  });
}

describe('GET /events', () => {
  it('sends what happens, each with an id, its type and its data', async () => {
    const events = new EventRing('s', systemClock);
    small = await smallApi({}, { events });
    events.publish(signing('before anybody listened'));
    const reader = await listen();
    expect(reader.response.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    await vi.waitFor(() => expect(reader.text()).toContain(`retry: ${EVENTS.retryMs}\nid: s-1\n\n`));
    events.publish(signing('one'));
    events.publish(signing('two'));
    await vi.waitFor(() => expect(reader.events()).toHaveLength(2));
    expect(reader.events()).toEqual([
      { id: 's-2', type: 'signing', event: signing('one') },
      { id: 's-3', type: 'signing', event: signing('two') },
    ]);
  });

  it('goes on behind Last-Event-ID, without a gap and without a repeat', async () => {
    const events = new EventRing('s', systemClock);
    small = await smallApi({}, { events });
    for (let count = 1; count <= 5; count++) events.publish(signing(String(count)));
    const reader = await listen('s-3');
    await vi.waitFor(() => expect(reader.events().map(({ id }) => id)).toEqual(['s-4', 's-5']));
    events.publish(signing('6'));
    await vi.waitFor(() => expect(reader.events().at(-1)?.id).toBe('s-6'));
  });

  it.each(['of another start', 'other-2', 's-99', 's-'])('says that something was missed, after %s', async (lastId) => {
    const events = new EventRing('s', systemClock);
    small = await smallApi({}, { events });
    events.publish(signing('1'));
    const reader = await listen(lastId);
    await vi.waitFor(() => expect(reader.events().map(({ type }) => type)).toEqual(['missed', 'signing']));
    expect(reader.events().map(({ id }) => id)).toEqual(['s-0', 's-1']);
  });

  it('keeps a bounded number, and says when more was missed', async () => {
    const events = new EventRing('s', systemClock);
    for (let count = 1; count <= EVENTS.kept + 10; count++) events.publish(signing(String(count)));
    expect(events.after('s-10')).toHaveLength(EVENTS.kept);
    expect(events.after('s-10')[0]?.id).toBe('s-11');
    expect(
      events
        .after('s-9')
        .map(({ id }) => id)
        .slice(0, 2),
    ).toEqual(['s-10', 's-11']);
    expect(events.after('s-9')[0]?.event.type).toBe('missed');
    expect(events.after(events.newest())).toEqual([]);
  });

  it('cuts off who does not read', async () => {
    const events = new EventRing('s', systemClock);
    small = await smallApi({}, { events });
    const reader = await listen();
    reader.response.pause();
    const closed = new Promise((resolve) => reader.response.once('close', resolve));
    const reason = 'x'.repeat(100_000);
    const big = setInterval(() => events.publish(signing(reason)), 1);
    try {
      // More than the sockets hold; it is read again only when the node has given up.
      await vi.waitFor(() => expect(events.after('s-0').length).toBeGreaterThan(200), { timeout: 8_000 });
      reader.response.resume();
      await closed;
    } finally {
      clearInterval(big);
    }
  });

  it('ends with the API', async () => {
    small = await smallApi();
    const reader = await listen();
    const ended = new Promise((resolve) => reader.response.once('end', resolve));
    await small.api.stop(0);
    await ended;
  });
});

describe('events of the ledger', () => {
  it('tell of a balance that changed, of entries that are final, of a loss and of a fork', async () => {
    node = await smallLedger();
    small = await smallApi({}, { events: node.events });
    const reader = await listen();
    const types = () => reader.events().map(({ type }) => type);
    const founder = new Writer(node.mesh, FOUNDER);
    const grant = founder.transfer('A', 500n);
    await node.take(grant);
    await vi.waitFor(() => expect(types()).toEqual(['credits']));
    expect(reader.events()[0]?.event).toMatchObject({ balance: { pendingMicrocredits: '500' } });

    const accepted = await node.author.accept(grant);
    await node.take(...certify(node.mesh, grant), ...certify(node.mesh, accepted));
    await vi.waitFor(() => expect(types()).toContain('entry-final'));
    expect(reader.events().findLast(({ type }) => type === 'entry-final')?.event).toMatchObject({
      entry: { kind: 'accept', amountMicrocredits: '500', state: 'final' },
    });

    const b = new Writer(node.mesh, 'B');
    const seed = founder.transfer('B', 100n);
    const booked = b.accept(seed);
    const toA = b.transfer('A', 100n);
    await node.take(seed, booked, toA);
    await node.author.accept(toA);
    await vi.waitFor(() =>
      expect(reader.events().at(-1)?.event).toMatchObject({ balance: { availableMicrocredits: '600' } }),
    );
    const toC = b.behind(booked).transfer('C', 100n);
    await node.take(toC);
    await vi.waitFor(() => expect(types()).toContain('entry-lost'));
    expect(types()).toContain('fork');
    const lost = reader.events().find(({ type }) => type === 'entry-lost')?.event;
    expect(lost).toMatchObject({ entry: { kind: 'accept', amountMicrocredits: '0', state: 'cut' } });
  });
});
