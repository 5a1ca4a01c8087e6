/**
 * Writes an answer's chunks to a channel. While the channel takes no more, chunks merge into larger ones, and past a bound
 * the engine is held back: a slow reader costs neither memory nor frames.
 */

import { JOB } from '../limits/jobs.ts';
import type { JobChunk } from '../protocol/job.ts';
import type { ProviderChannel } from './ports.ts';
import { charsInCalls } from './tool-calls.ts';

export type Piece = Omit<JobChunk, 'seq'>;

export class ChunkWriter {
  readonly #channel: ProviderChannel;
  #seq = 0;
  #pending: Piece[] = [];
  #pendingChars = 0;
  #flushing: Promise<void> | undefined;
  #room: PromiseWithResolvers<void> | undefined;
  #released = false;

  constructor(channel: ProviderChannel) {
    this.#channel = channel;
  }

  /** Resolves at once while there is room; awaiting it is what holds the engine back. */
  push(piece: Piece): Promise<void> | undefined {
    if (this.#pending.length === 0 && this.#channel.writable) {
      this.#send(piece);
      return undefined;
    }
    this.#merge(piece);
    this.#flushing ??= this.#flush();
    if (this.#released || this.#pendingChars < JOB.maxChunkBytes) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Everything pushed so far is handed to the channel when this resolves: as soon as its reader takes it. */
  async finish(): Promise<void> {
    await this.#flushing;
  }

  /** Whoever waits for room goes on, and nobody waits any more. */
  release(): void {
    this.#released = true;
    this.#room?.resolve();
  }

  /** Hands over what is left whether there is room or not: at most what one merged chunk may hold, and the piece behind it. */
  force(): void {
    for (const piece of this.#pending.splice(0)) this.#send(piece);
    this.#pendingChars = 0;
  }

  get pendingChars(): number {
    return this.#pendingChars;
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      await this.#channel.drained();
      // One at least: a channel that has ended is never writable, and swallows it.
      do this.#sendFirst();
      while (this.#pending.length > 0 && this.#channel.writable);
    }
    this.#flushing = undefined;
  }

  #sendFirst(): void {
    const first = this.#pending.shift();
    if (first === undefined) return;
    this.#pendingChars -= sizeOf(first);
    this.#send(first);
    if (this.#pendingChars >= JOB.maxChunkBytes) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  #send(piece: Piece): void {
    this.#channel.send({ ...piece, seq: this.#seq++ });
  }

  #merge(piece: Piece): void {
    const size = sizeOf(piece);
    this.#pendingChars += size;
    const last = this.#pending.at(-1);
    const merged = last === undefined || sizeOf(last) >= JOB.maxChunkBytes ? undefined : join(last, piece);
    if (merged === undefined) this.#pending.push(piece);
    else this.#pending[this.#pending.length - 1] = merged;
  }
}

/**
 * One piece for two, when no order is lost by it: inside a piece thinking comes first, then text, then tool calls. White space
 * alone is not put behind words: where an answer breaks off behind it, its tokens are written, and counted, once more.
 */
export function join(a: Piece, b: Piece): Piece | undefined {
  const outOfOrder =
    (a.text !== undefined && b.thinking !== undefined) ||
    (a.toolCalls !== undefined && (b.text !== undefined || b.thinking !== undefined));
  const hidesSpace = isSpace(b.text) && a.text !== undefined && !isSpace(a.text);
  if (outOfOrder || hidesSpace) return undefined;
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

function isSpace(text: string | undefined): boolean {
  return text !== undefined && text !== '' && text.trim() === '';
}

function concat(a: string | undefined, b: string | undefined): string | undefined {
  return a === undefined ? b : a + (b ?? '');
}

function sizeOf(piece: Piece): number {
  return (piece.text?.length ?? 0) + (piece.thinking?.length ?? 0) + charsInCalls(piece.toolCalls);
}
