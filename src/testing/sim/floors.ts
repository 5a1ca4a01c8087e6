/** What happens at each provider, seen from outside: on the channels of its jobs and at its engine. */

import type { ProviderChannel } from '../../jobs/ports.ts';
import { QUEUE } from '../../limits/jobs.ts';
import type { JobRequest, ToRequester } from '../../protocol/job.ts';
import type { SimNode } from './node.ts';
import type { Process } from './process.ts';
import type { World } from './world.ts';

/** What one token of output counts: `wq` of arXiv 2401.00588, as the queue has it. */
export const OUTPUT_WEIGHT = 2;

const LAST: ReadonlySet<ToRequester['type']> = new Set(['busy', 'reject', 'end', 'error', 'handOver']);

/** A job in the hands of a provider. */
export interface Asked {
  /** The id its requester gave it. */
  readonly id: string;
  /** Its index in the plan. */
  readonly job: number;
  /** Index of the node that asks. */
  readonly account: number;
  /** Of the node's own user. */
  readonly own: boolean;
  /** It was given back here before, and a place was kept for it. */
  returns: boolean;
  state: 'asked' | 'waits' | 'runs' | 'gone';
  /** Virtual milliseconds when it got into this state. */
  since: number;
  /** The engine works on it. */
  onEngine: boolean;
}

/** Everything at one run of a provider's program. */
export interface Floor {
  readonly node: SimNode;
  readonly process: Process;
  readonly asked: Set<Asked>;
  /** Weighted output of an account since the program started, and what every start counts at least. */
  readonly served: Map<number, number>;
  /** Accounts of peers that have jobs waiting, each with what everybody had been served when that began. */
  readonly backlogged: Map<number, { readonly order: number; readonly served: ReadonlyMap<number, number> }>;
  /** Jobs that were given back. */
  readonly givenBack: Set<string>;
  /** Runs of the engine. */
  onEngine: number;
  /** Since when there is a job that waits and a slot that is free; undefined when not so. */
  idleSince: number | undefined;
}

export class Floors {
  readonly #world: World;
  readonly #floors = new Map<number, Floor>();
  #order = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** At the program that runs on a node now, or ran there last. */
  at(node: number): Floor | undefined {
    return this.#floors.get(node);
  }

  /** The provider's end of a job's channel, with somebody who reads along. */
  watch(node: SimNode, account: number, job: number, request: JobRequest, channel: ProviderChannel): ProviderChannel {
    const floor = this.#floorOf(node);
    if (floor === undefined) return channel;
    const key = `${account}/${request.job}`;
    const asked: Asked = {
      id: request.job,
      job,
      account,
      own: account === node.index,
      returns: false,
      state: 'asked',
      since: this.#world.now,
      onEngine: false,
    };
    floor.asked.add(asked);
    const to = (state: Asked['state']) => {
      if (asked.state === state) return;
      // A kept place is taken by who enters, not by who is turned away before.
      if (asked.state === 'asked' && state !== 'gone') asked.returns = floor.givenBack.delete(key);
      asked.state = state;
      asked.since = this.#world.now;
      if (state === 'gone') floor.asked.delete(asked);
      this.#recount(floor);
    };
    const heard = (message: ToRequester) => {
      this.#note(node, job, message);
      if (message.type === 'queued' && asked.state === 'asked') to('waits');
      if (message.type === 'accepted') to('runs');
      if (message.type === 'handOver') floor.givenBack.add(key);
      if (LAST.has(message.type)) to('gone');
    };
    return {
      send: (message) => {
        heard(message);
        channel.send(message);
      },
      get writable() {
        return channel.writable;
      },
      get heardAt() {
        return channel.heardAt;
      },
      drained: () => channel.drained(),
      receive: () => channel.receive(),
      close: () => {
        to('gone');
        channel.close();
      },
      abort: (reason) => {
        to('gone');
        channel.abort(reason);
      },
    };
  }

  /** The engine of a node begins with a job. */
  runs(process: Process, job: number): { readonly floor: Floor | undefined; readonly account: number; ended(): void } {
    const floor = this.#floors.get(process.node);
    if (floor === undefined || floor.process !== process) return { floor: undefined, account: -1, ended: () => {} };
    const asked = [...floor.asked].find((candidate) => candidate.job === job && candidate.state === 'runs');
    floor.onEngine++;
    if (asked !== undefined) asked.onEngine = true;
    // What a job that returns had read was charged when it was here before.
    if (asked !== undefined && !asked.own && !asked.returns) {
      floor.served.set(asked.account, (floor.served.get(asked.account) ?? 0) + QUEUE.minInputTokens);
    }
    return {
      floor,
      account: asked?.account ?? -1,
      ended: () => {
        floor.onEngine--;
        if (asked !== undefined) asked.onEngine = false;
      },
    };
  }

  foreignJobsAt(node: number): readonly string[] {
    const floor = this.#floors.get(node);
    return [...(floor?.asked ?? [])].filter(({ own, state }) => !own && state === 'runs').map(({ id }) => id);
  }

  #floorOf(node: SimNode): Floor | undefined {
    const process = node.program?.process;
    if (process === undefined) return undefined;
    const known = this.#floors.get(node.index);
    if (known?.process === process) return known;
    const fresh: Floor = {
      node,
      process,
      asked: new Set(),
      served: new Map(),
      backlogged: new Map(),
      givenBack: new Set(),
      onEngine: 0,
      idleSince: undefined,
    };
    this.#floors.set(node.index, fresh);
    return fresh;
  }

  /** Who has jobs waiting now. */
  #recount(floor: Floor): void {
    const waiting = new Set<number>();
    for (const { own, state, account } of floor.asked) if (!own && state === 'waits') waiting.add(account);
    for (const account of floor.backlogged.keys()) if (!waiting.has(account)) floor.backlogged.delete(account);
    for (const account of waiting) {
      if (floor.backlogged.has(account)) continue;
      floor.backlogged.set(account, { order: this.#order++, served: new Map(floor.served) });
    }
  }

  #note({ index }: SimNode, job: number, message: ToRequester): void {
    const text = textOf(message);
    if (text === undefined) return;
    this.#world.note(index, job, text);
    const { type } = message;
    this.#world.count(type === 'handOver' ? `provider ${type} ${message.reason}` : `provider ${type}`);
  }
}

/** What a message says, for the table; undefined of those that only carry the answer. */
function textOf(message: ToRequester): string | undefined {
  switch (message.type) {
    case 'queued':
      return `queued, position ${message.position}, ${message.estimateMs} ms`;
    case 'accepted':
    case 'end':
      return message.type;
    case 'busy':
      return `busy, ${message.estimateMs} ms`;
    case 'reject':
    case 'error':
      return `${message.type}: ${message.code}`;
    case 'handOver':
      return `hands over: ${message.reason}`;
    default:
      return undefined;
  }
}
