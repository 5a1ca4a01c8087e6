/**
 * Writes an answer's chunks to a channel. While the channel takes no more, chunks merge into one, up to a bound, and past
 * it the engine is held back: a slow reader costs neither memory nor frames.
 */

import { JOB } from '../limits/jobs.ts';
import type { JobChunk } from '../protocol/job.ts';
import type { ProviderChannel } from './ports.ts';

type Piece = Omit<JobChunk, 'seq'>;

export class ChunkWriter {
  readonly #channel: ProviderChannel;
  readonly #stopped: Promise<void> | undefined;
  #seq = 0;
  #pending: Piece[] = [];
  #pendingChars = 0;
  #flushing: Promise<void> | undefined;

  /** @param stopped resolves when nobody waits for room any more, as if there were some */
  constructor(channel: ProviderChannel, stopped?: Promise<void>) {
    this.#channel = channel;
    this.#stopped = stopped;
  }

  /** Resolves at once while there is room; awaiting it is what holds the engine back. */
  push(piece: Piece): Promise<void> | undefined {
    if (this.#pending.length === 0 && this.#channel.writable) {
      this.#send(piece);
      return undefined;
    }
    this.#merge(piece);
    this.#flushing ??= this.#room().then(() => this.#flush());
    return this.#pendingChars < JOB.maxChunkBytes ? undefined : this.#flushing;
  }

  /** Everything pushed so far is handed to the channel when this resolves. */
  async finish(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  #room(): Promise<void> {
    const drained = this.#channel.drained();
    return this.#stopped === undefined ? drained : Promise.race([drained, this.#stopped]);
  }

  #flush(): void {
    this.#flushing = undefined;
    const pieces = this.#pending;
    this.#pending = [];
    this.#pendingChars = 0;
    for (const piece of pieces) this.#send(piece);
  }

  #send(piece: Piece): void {
    this.#channel.send({ ...piece, seq: this.#seq++ });
  }

  #merge(piece: Piece): void {
    this.#pendingChars += sizeOf(piece);
    const last = this.#pending.at(-1);
    const merged = last === undefined ? undefined : join(last, piece);
    if (merged === undefined) this.#pending.push(piece);
    else this.#pending[this.#pending.length - 1] = merged;
  }
}

/** One piece for two, when no order is lost by it: inside a piece thinking comes first, then text, then tool calls. */
export function join(a: Piece, b: Piece): Piece | undefined {
  const outOfOrder =
    (a.text !== undefined && b.thinking !== undefined) ||
    (a.toolCalls !== undefined && (b.text !== undefined || b.thinking !== undefined));
  if (outOfOrder) return undefined;
  const toolCalls = [...(a.toolCalls ?? []), ...(b.toolCalls ?? [])];
  const text = concat(a.text, b.text);
  const thinking = concat(a.thinking, b.thinking);
  return {
    type: 'chunk',
    tokens: a.tokens + b.tokens,
    ...(text !== undefined && { text }),
    ...(thinking !== undefined && { thinking }),
    ...(toolCalls.length > 0 && { toolCalls }),
  };
}

function concat(a: string | undefined, b: string | undefined): string | undefined {
  return a === undefined ? b : a + (b ?? '');
}

function sizeOf(piece: Piece): number {
  const calls = piece.toolCalls?.reduce((sum, call) => sum + call.name.length + call.arguments.length, 0) ?? 0;
  return (piece.text?.length ?? 0) + (piece.thinking?.length ?? 0) + calls;
}
