/** A few nodes in one process, real flows joined by channels in memory: for tests of the flows alone. */

import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JobBook } from '../jobs/book.ts';
import type { Arriving } from '../jobs/candidates.ts';
import { memoryChannel } from '../jobs/memory-channel.ts';
import type { JobOutput, JobSpec } from '../jobs/output.ts';
import type { JobHistory, ProviderChannel, RequesterChannel } from '../jobs/ports.ts';
import { Provider } from '../jobs/provider.ts';
import { Requester } from '../jobs/requester.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { WordEngine, type WordEngineOptions } from './word-engine.ts';

export interface SmallNode {
  readonly id: string;
  readonly engine: WordEngine;
  readonly provider: Provider;
  readonly requester: Requester;
  readonly book: JobBook;
  /** Breaks every stream to it and refuses new ones. */
  kill(): void;
  /** Nothing it sends arrives any more, and its streams stay open: what a stopped process looks like from outside. */
  mute(): void;
}

export interface SmallMeshOptions {
  readonly nodes: readonly (Partial<WordEngineOptions> & {
    slots?: number;
    room?: number;
    trouble?: string;
    arriving?: Arriving;
  })[];
}

export function smallMesh(options: SmallMeshOptions, clock: Clock): SmallNode[] {
  const nodes: SmallNode[] = [];
  const find = (id: string) => nodes.find((node) => node.id === id);
  const streams = new Map<string, Set<RequesterChannel>>();
  const dead = new Set<string>();
  const muted = new Set<string>();
  for (const [index, nodeOptions] of options.nodes.entries()) {
    const id = `node${index}`;
    const book = new JobBook({ clock, history: forgetful, emit: () => {} });
    const engine = new WordEngine(nodeOptions);
    const { slots = 1, room = 4 } = nodeOptions;
    const provider = new Provider(
      { self: id, slots, room, maxJobMs: 600_000 },
      { engine, book, clock, log: silentLogger, loadChanged: () => {} },
    );
    const requester = new Requester({
      book,
      clock,
      log: silentLogger,
      randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
      handleLocally: (request, channel) => void provider.handleJob(id, request, channel),
      candidates: {
        isKnown: () => false,
        trouble: () => nodeOptions.trouble,
        arriving: () => nodeOptions.arriving,
        providersOf: (model) =>
          nodes
            .filter((node) => node.engine.options.models.includes(model))
            .map((node) => ({
              node: node.id,
              local: node.id === id,
              digest: node.engine.options.digest,
              load: node.provider.load.depth + node.provider.load.running,
              latencyMs: 1,
            })),
      },
      link: {
        self: id,
        route: () => 'direct',
        latencyMs: () => 1,
        findProviders: async () => 0,
        openJob: async (to, request) => {
          if (dead.has(to)) throw new GoGridError({ code: 'peer_unreachable', message: 'dead' });
          const pair = memoryChannel(clock);
          streams.set(to, (streams.get(to) ?? new Set()).add(pair.requester));
          void find(to)?.provider.handleJob(
            id,
            request,
            mutable(pair.provider, () => muted.has(to)),
          );
          return pair.requester;
        },
      },
    });
    const kill = () => {
      dead.add(id);
      const reason = new GoGridError({ code: 'provider_lost', message: 'the connection closed' });
      for (const channel of streams.get(id) ?? []) channel.abort(reason);
    };
    nodes.push({ id, engine, provider, requester, book, kill, mute: () => void muted.add(id) });
  }
  return nodes;
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

/** The same channel, of which nothing more goes out once `isMuted`. */
function mutable(channel: ProviderChannel, isMuted: () => boolean): ProviderChannel {
  return {
    send: (message) => {
      if (!isMuted()) channel.send(message);
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
