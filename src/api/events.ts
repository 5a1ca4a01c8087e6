/** `GET /events`: what happens in this node, for those who keep looking. */

import type { FastifyInstance } from 'fastify';
import { type Clock, every } from '../clock.ts';
import type { NodeEvent } from '../contract/events.ts';
import { EVENTS } from '../limits/api.ts';
import type { Exchange, Exchanges } from './exchange.ts';
import type { Events, SentEvent } from './ports.ts';

/** The last events, for clients that were away for a while. */
export class EventRing implements Events {
  readonly #start: string;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #kept: SentEvent[] = [];
  readonly #listeners = new Set<(event: SentEvent) => void>();
  /** Of the next one; they count from 1. */
  #next = 1;

  /** @param start stands in every id: those of another start of the node mean nothing here */
  constructor(start: string, clock: Pick<Clock, 'now'>) {
    this.#start = start;
    this.#clock = clock;
  }

  publish(event: NodeEvent): void {
    const sent = { id: `${this.#start}-${this.#next++}`, event };
    this.#kept.push(sent);
    if (this.#kept.length > EVENTS.kept) this.#kept.shift();
    for (const listener of this.#listeners) listener(sent);
  }

  after(lastId: string | undefined): readonly SentEvent[] {
    if (lastId === undefined) return [];
    const number = this.#numberOf(lastId);
    const oldest = this.#next - this.#kept.length;
    if (number !== undefined && number + 1 >= oldest && number < this.#next)
      return this.#kept.slice(number + 1 - oldest);
    // The id of what comes before all that is left, so that whoever is cut off again has missed no more.
    const missed = { id: `${this.#start}-${oldest - 1}`, event: { type: 'missed', at: this.#clock.now() } as const };
    return [missed, ...this.#kept];
  }

  newest(): string {
    return `${this.#start}-${this.#next - 1}`;
  }

  follow(listener: (event: SentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #numberOf(id: string): number | undefined {
    const digits = id.startsWith(`${this.#start}-`) ? id.slice(this.#start.length + 1) : '';
    return /^[0-9]{1,15}$/.test(digits) ? Number(digits) : undefined;
  }
}

export interface EventsDeps {
  readonly events: Events;
  readonly exchanges: Exchanges;
  readonly clock: Clock;
}

export function eventRoutes(app: FastifyInstance, { events, exchanges, clock }: EventsDeps): void {
  app.get('/events', (request, reply) => {
    const { 'last-event-id': lastId } = request.headers;
    const exchange = exchanges.open(reply.raw, 'endless');
    reply.hijack();
    sendEvents(exchange, events, typeof lastId === 'string' && lastId !== '' ? lastId : undefined, clock);
  });
}

function sendEvents({ response, signal }: Exchange, events: Events, lastId: string | undefined, clock: Clock): void {
  const send = ({ id, event }: SentEvent) => {
    response.write(`id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    // Whoever does not read comes back later, and goes on where it was.
    if (response.writableLength > EVENTS.maxBacklogBytes) response.destroy();
  };
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  // An id without data is no event, and a client that is cut off before the first one goes on behind it.
  response.write(`retry: ${EVENTS.retryMs}\n${lastId === undefined ? `id: ${events.newest()}\n` : ''}\n`);
  for (const event of events.after(lastId)) send(event);
  const stop = events.follow(send);
  const alive = every(clock, EVENTS.aliveEveryMs, () => response.write(': alive\n\n'));
  const end = () => {
    stop();
    alive.cancel();
    response.end();
  };
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
}
