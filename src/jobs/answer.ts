/** An answer as it comes together: its text so far, its tokens, its seams, and the usage that adds up in the end. */

import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { FinishReason, JobChunk, JobUsage, JobVectors } from '../protocol/job.ts';
import type { JobOutput } from './output.ts';
import type { Delivered } from './resume.ts';
import { Seam } from './seam.ts';

type Chunk = Extract<JobOutput, { type: 'chunk' }>;
type Totals = Extract<JobOutput, { type: 'done' }>['usage'];

export class Answer {
  reason: FinishReason = 'stop';
  /** As the provider that finished it counted. */
  usage: JobUsage | undefined;
  /** Output tokens so far, of all providers. */
  tokens = 0;
  /** A stop sequence was completed across a seam. */
  stopped = false;
  #text = '';
  #bytes = 0;
  #heldTokens = 0;
  #thinking = false;
  #toolCalls = false;
  #vectors: JobVectors[] = [];
  #seam: Seam | undefined;
  /** Tokens that earlier providers delivered. */
  #tokensBefore = 0;
  #broken = false;

  /** What the client gets of a provider's chunk; undefined while the seam holds it back. */
  take(chunk: JobChunk): Chunk | undefined {
    this.tokens += chunk.tokens;
    this.#count((chunk.text?.length ?? 0) + (chunk.thinking?.length ?? 0) + callChars(chunk));
    const text = chunk.text === undefined ? undefined : this.#acrossSeam(chunk.text);
    if (text !== undefined) this.#text += text;
    // What a seam holds back is not delivered: another provider would have to write it again.
    this.#heldTokens = text === '' ? this.#heldTokens + chunk.tokens : 0;
    if (chunk.thinking !== undefined) this.#thinking = true;
    if (chunk.toolCalls !== undefined) this.#toolCalls = true;
    if (!text && chunk.thinking === undefined && chunk.toolCalls === undefined) return undefined;
    return { type: 'chunk', tokens: chunk.tokens, text, thinking: chunk.thinking, toolCalls: chunk.toolCalls };
  }

  /** Vectors are kept to the end: an embedding is whole or nothing. */
  keepVectors(vectors: JobVectors): void {
    this.#count(vectors.data.length);
    this.#vectors.push(vectors);
  }

  vectors(): readonly JobVectors[] {
    return this.#vectors;
  }

  delivered(): Delivered {
    return {
      text: this.#text,
      tokens: this.tokens - this.#heldTokens,
      thinking: this.#thinking,
      toolCalls: this.#toolCalls,
    };
  }

  /** The provider failed; what comes next comes from another one. */
  broke(stops: readonly string[]): void {
    this.#vectors = [];
    this.usage = undefined;
    this.tokens -= this.#heldTokens;
    this.#heldTokens = 0;
    if (this.#text === '') {
      // Nothing reached the client: the next provider starts afresh, and its count is the whole count.
      this.tokens = 0;
      return;
    }
    this.#broken = true;
    this.#tokensBefore = this.tokens;
    this.#seam = new Seam(this.#text, stops);
  }

  /** What a seam still held when the last provider ended. */
  finish(): Chunk | undefined {
    const text = this.#seam?.end() ?? '';
    this.#text += text;
    return text === '' ? undefined : { type: 'chunk', tokens: 0, text };
  }

  /**
   * Usage over all providers. Output is what earlier ones delivered, counted on chunks, plus the last one's own count. The
   * first one's count of the prompt is lost with it: what the last one read, less the answer so far, stands in for it.
   */
  totals(): Totals {
    const { promptTokens = 0, outputTokens, loadMs = 0, prefillMs = 0, decodeMs = 0 } = this.usage ?? {};
    return {
      promptTokens: Math.max(0, promptTokens - this.#tokensBefore),
      outputTokens: this.#tokensBefore + (outputTokens ?? this.tokens - this.#tokensBefore),
      loadMs,
      prefillMs,
      decodeMs,
      estimated: this.#broken || this.usage === undefined,
    };
  }

  /** @throws GoGridError `protocol_violation` when no model's answer is that long */
  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > JOB.maxAnswerBytes) {
      throw new GoGridError({
        code: 'protocol_violation',
        message: `an answer of more than ${JOB.maxAnswerBytes} bytes`,
      });
    }
  }

  #acrossSeam(piece: string): string {
    if (this.#seam === undefined) return piece;
    const { text, stopped } = this.#seam.take(piece);
    this.stopped ||= stopped;
    return text;
  }
}

function callChars({ toolCalls }: JobChunk): number {
  return toolCalls?.reduce((sum, call) => sum + call.name.length + call.arguments.length, 0) ?? 0;
}
