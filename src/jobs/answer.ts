/** An answer as it comes together: its text so far, its tokens, its seams, and the usage that adds up in the end. */

import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { FinishReason, JobChunk, JobUsage, JobVectors, ToolCall } from '../protocol/job.ts';
import type { JobOutput } from './output.ts';
import type { Delivered } from './resume.ts';
import { Seam } from './seam.ts';
import { charsInCalls } from './tool-calls.ts';

const FLOAT_BYTES = 4;

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
  /** The client gets it in one piece when it is complete. */
  readonly #whole: boolean;
  #text = '';
  #thinking = '';
  #toolCalls: ToolCall[] = [];
  /** What is held, and the tokens that were believed for it. */
  #bytes = 0;
  #believed = 0;
  /** Tokens at the end of the text that are white space and nothing else: the next provider writes them again. */
  #spaceTokens = 0;
  #heldTokens = 0;
  #vectors: JobVectors[] = [];
  #seam: Seam | undefined;
  /** Tokens of the text that the last provider was given to go on behind. */
  #tokensGiven = 0;
  /** Tokens that the client had before the last provider began: those, and of white space at the end. */
  #tokensBefore = 0;
  #spaceBefore = 0;
  #broken = false;

  constructor(whole: boolean) {
    this.#whole = whole;
  }

  /** What the client gets of a provider's chunk; undefined while nothing of it may be shown. */
  take(chunk: JobChunk): Chunk | undefined {
    const { thinking, toolCalls } = chunk;
    this.#count(bytesOf(chunk));
    const tokens = this.#believe(chunk.tokens);
    this.tokens += tokens;
    const text = chunk.text === undefined ? undefined : this.#addText(chunk.text, tokens);
    if (thinking !== undefined) this.#thinking += thinking;
    if (toolCalls !== undefined) this.#toolCalls.push(...toolCalls);
    if (this.#whole || (!text && thinking === undefined && toolCalls === undefined)) return undefined;
    return { type: 'chunk', tokens, text, thinking, toolCalls };
  }

  /**
   * Vectors are kept to the end: an embedding is whole or nothing.
   * @throws GoGridError `protocol_violation` for a piece without a whole vector, or when no model's answer is that long
   */
  keepVectors(vectors: JobVectors): void {
    const { dimensions, data } = vectors;
    if (data.length === 0 || data.length % (dimensions * FLOAT_BYTES) !== 0) {
      throw new GoGridError({
        code: 'protocol_violation',
        message: `vectors of ${dimensions} dimensions in ${data.length} bytes`,
      });
    }
    this.#count(JOB.heldItemBytes + data.length);
    this.#vectors.push(vectors);
  }

  vectors(): readonly JobVectors[] {
    return this.#vectors;
  }

  /** What there is to go on from. */
  delivered(): Delivered {
    return {
      text: this.#text,
      tokens: this.tokens - this.#heldTokens - this.#spaceTokens,
      thinking: this.#thinking !== '',
      toolCalls: this.#toolCalls.length > 0,
    };
  }

  /** The provider failed, and another goes on behind what is there. */
  goesOn(stops: readonly string[]): void {
    this.#vectors = [];
    this.usage = undefined;
    this.tokens -= this.#heldTokens;
    this.#heldTokens = 0;
    this.#broken = true;
    this.#tokensBefore = this.tokens;
    this.#spaceBefore = this.#spaceTokens;
    this.#tokensGiven = this.tokens - this.#spaceTokens;
    this.#seam = new Seam(this.#text, stops);
  }

  /** The provider failed, and nothing of the answer is with the client: the next one begins, and its count is the count. */
  startsAgain(): void {
    this.usage = undefined;
    this.tokens = 0;
    this.#text = '';
    this.#thinking = '';
    this.#toolCalls = [];
    this.#bytes = 0;
    this.#believed = 0;
    this.#spaceTokens = 0;
    this.#heldTokens = 0;
    this.#vectors = [];
    this.#seam = undefined;
    this.#tokensGiven = 0;
    this.#tokensBefore = 0;
    this.#spaceBefore = 0;
    this.#broken = false;
  }

  /** What the client has not got yet when the answer is complete. */
  finish(): Chunk | undefined {
    const rest = this.#seam?.end() ?? '';
    // The answer ended within the same white space.
    if (rest === '' && this.#heldTokens > 0) this.#spaceComesAgain();
    this.#text += rest;
    if (!this.#whole) return rest === '' ? undefined : { type: 'chunk', tokens: 0, text: rest };
    const thinking = this.#thinking === '' ? undefined : this.#thinking;
    const toolCalls = this.#toolCalls.length === 0 ? undefined : this.#toolCalls;
    if (this.#text === '' && thinking === undefined && toolCalls === undefined) return undefined;
    return { type: 'chunk', tokens: this.tokens, text: this.#text, thinking, toolCalls };
  }

  /**
   * Usage over all providers. Output is what the last one was given to go on behind, counted on chunks, plus its own count.
   * The first one's count of the prompt is lost with it: what the last one read, less what it was given, stands in for it.
   * @param guess of the prompt's tokens, for an answer that ended without anybody's count
   */
  totals(guess = 0): Totals {
    const { promptTokens, outputTokens, loadMs = 0, prefillMs = 0, decodeMs = 0 } = this.usage ?? {};
    return {
      promptTokens: promptTokens === undefined ? guess : Math.max(0, promptTokens - this.#tokensGiven),
      outputTokens: outputTokens === undefined ? this.tokens : this.#tokensBefore + outputTokens,
      loadMs,
      prefillMs,
      // How long those before it wrote is not known: as fast as the last one, so that tokens and time give its rate.
      decodeMs: outputTokens ? Math.round((decodeMs * (this.#tokensBefore + outputTokens)) / outputTokens) : decodeMs,
      estimated: this.#broken || this.usage === undefined,
    };
  }

  #addText(piece: string, tokens: number): string {
    const text = this.#seam === undefined ? piece : this.#acrossSeam(this.#seam, piece, tokens);
    if (text === '') return text;
    this.#text += text;
    this.#spaceTokens = text.trim() === '' ? this.#spaceTokens + this.#heldTokens + tokens : 0;
    this.#heldTokens = 0;
    return text;
  }

  /** What a seam lets through. What it holds back is not delivered: another provider would have to write it again. */
  #acrossSeam(seam: Seam, piece: string, tokens: number): string {
    const { text, stopped } = seam.take(piece);
    this.stopped ||= stopped;
    if (seam.repeated) this.#spaceComesAgain();
    if (text !== '') return text;
    if (seam.holdsBack) this.#heldTokens += tokens;
    else this.#spaceTokens += tokens;
    return text;
  }

  /** The white space at the end of the text is counted once: as the last provider has it. */
  #spaceComesAgain(): void {
    if (this.#spaceBefore === 0) return;
    this.tokens -= this.#spaceBefore;
    this.#tokensBefore -= this.#spaceBefore;
    this.#spaceBefore = 0;
    this.#spaceTokens = 0;
  }

  /**
   * A provider's count of tokens travels on to the next one and into the usage, so it may not be more than there is: a token
   * is a byte at least, but for a few that show nothing.
   */
  #believe(tokens: number): number {
    const believed = Math.min(tokens, this.#bytes + JOB.maxHiddenTokens - this.#believed);
    this.#believed += believed;
    return believed;
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
}

function bytesOf({ text = '', thinking = '', toolCalls }: JobChunk): number {
  const calls = charsInCalls(toolCalls) + JOB.heldItemBytes * (toolCalls?.length ?? 0);
  return Buffer.byteLength(text) + Buffer.byteLength(thinking) + calls;
}
