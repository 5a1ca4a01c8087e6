/** One provider with a word engine, and requesters that are only the ends of streams in memory: for tests of its flow alone. */

import { type Clock, systemClock } from '../clock.ts';
import { JobBook } from '../jobs/book.ts';
import { memoryChannel } from '../jobs/memory-channel.ts';
import type { RequesterChannel } from '../jobs/ports.ts';
import { Provider, type ProviderOptions } from '../jobs/provider.ts';
import { newJobId } from '../protocol/ids.ts';
import type { JobRequest, ToRequester } from '../protocol/job.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { turn } from './virtual-clock.ts';
import { WordEngine, type WordEngineOptions } from './word-engine.ts';

/** Its jobs are those of this machine's own user. */
export const OWNER = 'owner';

export function smallProvider(
  options: Partial<WordEngineOptions & Omit<ProviderOptions, 'self'>> & { readonly contextLength?: number } = {},
  clock: Clock = systemClock,
) {
  const { slots = 1, room = 8, maxJobMs = 600_000, freeJobsPerPeerPerMinute = 6, credits = false, ...words } = options;
  const engine = new WordEngine(words);
  if (options.contextLength !== undefined) {
    const models = engine.models().map((model) => ({ ...model, contextLength: options.contextLength ?? 0 }));
    engine.models = () => models;
  }
  const book = new JobBook({
    clock,
    history: { put: () => {}, get: async () => undefined, list: async () => ({ jobs: [], total: 0 }) },
    emit: () => {},
  });
  const provider = new Provider(
    { self: OWNER, slots, room, maxJobMs, freeJobsPerPeerPerMinute, credits },
    { engine, book, clock, log: silentLogger, loadChanged: () => {}, ratesChanged: () => {}, turnedAway: () => {} },
  );
  /** Sends a job and reads nothing yet. */
  function ask(asked: JobRequest, from = 'peer'): { channel: RequesterChannel; served: Promise<void> } {
    const { requester, provider: theirs } = memoryChannel(clock);
    return { channel: requester, served: provider.handleJob(from, asked, theirs) };
  }
  return { engine, book, provider, ask };
}

export function request(changes: Partial<JobRequest> = {}): JobRequest {
  const job = newJobId(Date.now(), crypto.getRandomValues(new Uint8Array(10)));
  return { type: 'request', job, model: 'words:latest', input: { kind: 'generate', prompt: 'x' }, ...changes };
}

/** Everything that still comes. */
export async function rest(channel: RequesterChannel): Promise<ToRequester[]> {
  const messages: ToRequester[] = [];
  for (let next = await channel.receive(); next !== undefined; next = await channel.receive()) messages.push(next);
  return messages;
}

/** Reads until a message of this type comes; returns it with all that came before. */
export async function until(channel: RequesterChannel, type: ToRequester['type']): Promise<ToRequester[]> {
  const messages: ToRequester[] = [];
  while (messages.at(-1)?.type !== type) {
    const next = await channel.receive();
    if (next === undefined) throw new Error(`the stream ended without ${type}, behind ${JSON.stringify(messages)}`);
    messages.push(next);
  }
  return messages;
}

/** The text of the chunks among messages. */
export function textOf(messages: readonly ToRequester[]): string {
  return messages.map((message) => (message.type === 'chunk' ? (message.text ?? '') : '')).join('');
}

/** The output tokens of the chunks among messages. */
export function tokensOf(messages: readonly ToRequester[]): number {
  return messages.reduce((sum, message) => sum + (message.type === 'chunk' ? message.tokens : 0), 0);
}

/** Waits until a provider that writes is held back by whoever does not read: it wrote, and writes nothing for many turns. */
export async function untilHeld(provider: Provider): Promise<void> {
  let before = 0;
  for (let still = 0; still < 50; ) {
    await turn();
    const { out } = provider.tokens;
    still = out > 0 && out === before ? still + 1 : 0;
    before = out;
  }
}
