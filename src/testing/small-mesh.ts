/** A few nodes in one process, real flows joined by channels in memory: for tests of the flows alone. */

import { createHash } from 'node:crypto';
import type { KnownNode } from '../capabilities/directory.ts';
import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JobBook } from '../jobs/book.ts';
import type { Arriving } from '../jobs/failure.ts';
import { memoryChannel } from '../jobs/memory-channel.ts';
import type { JobOutput, JobSpec } from '../jobs/output.ts';
import type { JobHistory, ProviderChannel, RequesterChannel, Route } from '../jobs/ports.ts';
import { Provider } from '../jobs/provider.ts';
import { Requester } from '../jobs/requester.ts';
import type { Router } from '../jobs/routing/decision.ts';
import { createRouter } from '../jobs/routing/router.ts';
import type { NodeStatus } from '../protocol/beat.ts';
import { UNKNOWN_RATES } from '../protocol/profile.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { turn } from './virtual-clock.ts';
import { answerTokens, promptOf, WordEngine, type WordEngineOptions } from './word-engine.ts';

export interface SmallNode {
  readonly id: string;
  readonly engine: WordEngine;
  readonly provider: Provider;
  readonly requester: Requester;
  readonly router: Router;
  readonly book: JobBook;
  /** What others read in its beat; `idle` or `busy` until a test says otherwise. */
  status: NodeStatus | undefined;
  /** The load that others know of; as it is now until a test says otherwise. */
  told: { readonly depth: number; readonly running: number; readonly at: number } | undefined;
  /** Breaks every stream to it and refuses new ones. */
  kill(): void;
  /** Takes jobs again after `kill`. */
  revive(): void;
  /** Nothing it sends arrives any more, and its streams stay open: what a stopped process looks like from outside. */
  mute(): void;
  /** Its streams of now carry nothing any more, to it or from it, and it does not notice; new ones do. */
  part(): void;
}

interface SmallNodeOptions extends Partial<WordEngineOptions> {
  slots?: number;
  room?: number;
  trouble?: string;
  arriving?: Arriving;
  /** Jobs that wait at it as requester. */
  maxWaiting?: number;
  maxWaitMs?: number;
}

export interface SmallMeshOptions {
  readonly nodes: readonly SmallNodeOptions[];
  /** Nodes on the list of friends of every other. */
  readonly friends?: readonly string[];
}

export function smallMesh(options: SmallMeshOptions, clock: Clock): SmallNode[] {
  const nodes: SmallNode[] = [];
  const streams = new Map<string, Set<RequesterChannel>>();
  const dead = new Set<string>();
  const muted = new Set<string>();
  const parted = new Set<RequesterChannel>();

  async function openJob(from: string, to: string, request: Parameters<Provider['handleJob']>[1]) {
    if (dead.has(to)) throw new GoGridError({ code: 'peer_unreachable', message: 'dead' });
    const pair = memoryChannel(clock);
    streams.set(to, (streams.get(to) ?? new Set()).add(pair.requester));
    const provider = nodes.find((node) => node.id === to)?.provider;
    void provider?.handleJob(
      from,
      request,
      mutable(
        pair.provider,
        () => muted.has(to) || parted.has(pair.requester),
        () => parted.has(pair.requester),
      ),
    );
    return pair.requester;
  }

  function smallNode(id: string, nodeOptions: SmallNodeOptions): SmallNode {
    const { slots = 1, room = 4, maxWaiting = 64, maxWaitMs = 60_000 } = nodeOptions;
    const book = new JobBook({ clock, history: forgetful, emit: () => {} });
    const engine = new WordEngine(nodeOptions);
    const provider = new Provider(
      { self: id, slots, room, maxJobMs: 600_000, freeJobsPerPeerPerMinute: 6, credits: false },
      {
        engine,
        book,
        clock,
        log: silentLogger,
        loadChanged: () => requester.wake(),
        ratesChanged: () => {},
        turnedAway: () => {},
      },
    );
    const link = { self: id, route: (): Route => 'direct', latencyMs: () => 1, findProviders: async () => 0 };
    const router = createRouter(
      { self: id },
      {
        engine,
        ownWaitMs: () => provider.estimateFor(id),
        ownRates: (model) => provider.ratesOf(model),
        directory: { providersOf: (model) => others(nodes, id, model, clock) },
        link,
        usable: () => true,
        outOfReach: () => false,
        isFriend: (node) => options.friends?.includes(node) ?? false,
        clock,
        random: () => 0,
        hash: (text) => createHash('sha256').update(text).digest('base64url'),
      },
    );
    const requester: Requester = new Requester(
      { maxWaiting, maxWaitMs, credits: false },
      {
        router,
        link: { ...link, openJob: (to, request) => openJob(id, to, request) },
        handleLocally: (request, channel) => void provider.handleJob(id, request, channel),
        ownModels: { trouble: () => nodeOptions.trouble, arriving: () => nodeOptions.arriving },
        book,
        clock,
        randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
        log: silentLogger,
      },
    );
    const kill = () => {
      dead.add(id);
      const reason = new GoGridError({ code: 'provider_lost', message: 'the connection closed' });
      for (const channel of streams.get(id) ?? []) channel.abort(reason);
    };
    const revive = () => void dead.delete(id);
    const mute = () => void muted.add(id);
    const part = () => {
      for (const channel of streams.get(id) ?? []) parted.add(channel);
    };
    return {
      id,
      engine,
      provider,
      requester,
      router,
      book,
      status: undefined,
      told: undefined,
      kill,
      revive,
      mute,
      part,
    };
  }

  for (const [index, nodeOptions] of options.nodes.entries()) nodes.push(smallNode(`node${index}`, nodeOptions));
  return nodes;
}

/** What a directory would know of the others: here their beats are never late. */
function* others(nodes: readonly SmallNode[], self: string, name: string, clock: Clock) {
  for (const { id, engine, provider, status, told } of nodes) {
    const model = engine.models().find((candidate) => candidate.name === name);
    if (id === self || model === undefined) continue;
    const { depth, running, at } = told ?? {
      depth: provider.load.depth,
      running: provider.load.running,
      at: clock.elapsed(),
    };
    const beat = {
      node: id,
      sequence: 1,
      status: status ?? (running > 0 ? 'busy' : 'idle'),
      queueDepth: depth,
      running,
      profileNumber: 1,
      ttlMs: 90_000,
    } as const;
    // Of the profile nothing is read but the model.
    const node = { node: id, profile: { node: id }, beat, beatAt: at } as unknown as KnownNode;
    yield { node, model: { ...model, ...UNKNOWN_RATES } };
  }
}

/** A chat of one question, as a surface would ask it. */
export function question(text: string, changes: Partial<JobSpec> = {}): JobSpec {
  return {
    model: 'words',
    input: { kind: 'chat', messages: [{ role: 'user', content: text }] },
    deadlineMs: undefined,
    privacy: 'mesh',
    ...changes,
  };
}

/** What an engine of so many words answers to that question. */
export function answerTo(text: string, words: number): string {
  return answerTokens(promptOf(question(text).input), words).join('');
}

/** A job that holds a slot of a node until it is let go. */
export async function occupy(from: SmallNode, at: SmallNode): Promise<{ letGo(): Promise<void> }> {
  at.engine.faults.push({ afterTokens: 0, how: 'hang' });
  const client = new AbortController();
  const running = collect(from.requester.run(question('long'), client.signal)).catch(() => undefined);
  await until(() => at.engine.active === 1);
  return {
    async letGo() {
      client.abort();
      await running;
      await until(() => at.provider.load.running === 0);
    },
  };
}

/** Waits for a condition, turn by turn of the event loop. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

/** Everything a run gives, and the text of it. */
export async function collect(outputs: AsyncIterable<JobOutput>, onOutput?: (output: JobOutput, text: string) => void) {
  let text = '';
  const all: JobOutput[] = [];
  for await (const output of outputs) {
    all.push(output);
    if (output.type === 'chunk') text += output.text ?? '';
    onOutput?.(output, text);
  }
  const done = all.find((output) => output.type === 'done');
  return { text, all, done };
}

/** The same channel, of which nothing more goes out once `isMuted`, and of which its provider hears no more once `isDeaf`. */
function mutable(channel: ProviderChannel, isMuted: () => boolean, isDeaf: () => boolean): ProviderChannel {
  const forever = new Promise<never>(() => {});
  return {
    send: (message) => {
      if (!isMuted()) channel.send(message);
    },
    get writable() {
      return isDeaf() || channel.writable;
    },
    get heardAt() {
      return channel.heardAt;
    },
    drained: () => channel.drained(),
    receive: async () => {
      try {
        const message = await channel.receive();
        return isDeaf() ? await forever : message;
      } catch (broken) {
        if (isDeaf()) await forever;
        throw broken;
      }
    },
    close: () => {
      if (!isMuted()) channel.close();
    },
    abort: (reason) => channel.abort(reason),
  };
}

const forgetful: JobHistory = {
  put: () => {},
  get: async () => undefined,
  list: async () => ({ jobs: [], total: 0 }),
};
