/**
 * What a provider still knows of an answer, so that a job which is sent again is not run again: it joins the run that is
 * there, or gets the rest of the one that has just ended. In memory only, and not for long.
 */

import type { Clock, Timer } from '../clock.ts';
import { JOB, TRANSCRIPT } from '../limits/jobs.ts';
import type { FinishReason, JobInput, JobRequest, JobUsage } from '../protocol/job.ts';
import type { Piece } from './chunk-writer.ts';
import type { EngineModel } from './ports.ts';
import { RecentMap } from './recent-map.ts';
import { planResume } from './resume.ts';

type Resume = JobRequest['resume'];
type Usage = Omit<JobUsage, 'type'>;

/** The text of one answer from its very beginning, what other providers wrote before included. */
export class Transcript {
  readonly #resume: Resume;
  #tokens: number;
  #chars: number;
  /** Joined when it is looked at: one string for every token would cost ten times the text. */
  #pieces: string[];
  #begun = false;
  /** There is more to the answer than text that is still here: nothing of it can be told again. */
  #partial = false;

  constructor(resume: Resume) {
    this.#resume = resume;
    this.#tokens = resume?.tokens ?? 0;
    this.#chars = resume?.text.length ?? 0;
    this.#pieces = resume === undefined ? [] : [resume.text];
  }

  /** Something was written here. */
  get begun(): boolean {
    return this.#begun;
  }

  get chars(): number {
    return this.#chars;
  }

  add(piece: Piece): void {
    this.#begun = true;
    this.#tokens += piece.tokens;
    if (piece.thinking !== undefined || piece.toolCalls !== undefined) this.drop();
    if (piece.text === undefined || this.#partial) return;
    this.#chars += piece.text.length;
    if (this.#chars > TRANSCRIPT.maxChars) this.drop();
    else this.#pieces.push(piece.text);
  }

  /** Keeps nothing of it any more. */
  drop(): void {
    this.#partial = true;
    this.#pieces = [];
    this.#chars = 0;
  }

  /**
   * What follows behind the part that a requester has, in chunks that fit a frame. The white space at the end of its part was
   * cut off, so the rest begins with it.
   * @returns undefined when that part is not how this answer begins, or there is more to it than text
   */
  after(resume: Resume): Piece[] | undefined {
    const { text = '', tokens = 0 } = resume ?? {};
    if (this.#partial || !this.#text.startsWith(text)) return undefined;
    return split(this.#text.slice(text.length), Math.max(0, this.#tokens - tokens));
  }

  /** The engine's count of its part of the answer, as it is for a requester that has so much of it. */
  usageFor(resume: Resume, usage: Usage): Usage {
    const more = (resume?.tokens ?? 0) - (this.#resume?.tokens ?? 0);
    return {
      ...usage,
      promptTokens: Math.max(0, usage.promptTokens + more),
      outputTokens: Math.max(0, usage.outputTokens - more),
    };
  }

  /**
   * Whether the job can be given back without loss: nothing of it was written here, or only text that goes on elsewhere.
   * @param continues whether the engine here could go on in the middle of it, when it comes back
   */
  canMove(input: JobInput, continues: boolean): boolean {
    if (!this.#begun) return this.#resume === undefined || continues;
    if (this.#partial || !continues) return false;
    const delivered = { text: this.#text, tokens: this.#tokens, thinking: false, toolCalls: false, shown: true };
    return planResume(input, delivered).kind !== 'impossible';
  }

  get #text(): string {
    if (this.#pieces.length > 1) this.#pieces = [this.#pieces.join('')];
    return this.#pieces[0] ?? '';
  }
}

/** Cuts between characters, never in one; every piece has its share of the tokens. */
function split(text: string, tokens: number): Piece[] {
  const pieces: Piece[] = [];
  let left = tokens;
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + JOB.maxChunkBytes);
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
    const share = end === text.length ? left : Math.floor((tokens * (end - at)) / text.length);
    pieces.push({ type: 'chunk', tokens: share, text: text.slice(at, end) });
    left -= share;
    at = end;
  }
  return pieces;
}

/** The first half of a character that takes two units of UTF-16. */
function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** A complete answer. */
export interface Finished {
  readonly model: EngineModel;
  readonly transcript: Transcript;
  /** As the engine counted. */
  readonly usage: Usage;
  readonly reason: FinishReason;
}

/** The answers that ended lately, oldest first. */
export class Transcripts {
  readonly #clock: Clock;
  readonly #finished = new RecentMap<string, Finished & { readonly until: number }>(JOB.maxRecent);
  #chars = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Keeps an answer for a while, unless it can not be told again. */
  keep(key: string, answer: Finished): void {
    this.#forget(key);
    if (answer.transcript.after(undefined) === undefined) return;
    const oldest = this.#finished.set(key, { ...answer, until: this.#clock.elapsed() + TRANSCRIPT.keepMs });
    this.#chars += answer.transcript.chars - (oldest?.transcript.chars ?? 0);
    for (const next of this.#finished.keys()) {
      if (this.#chars <= TRANSCRIPT.maxCharsInAll) break;
      this.#forget(next);
    }
    this.#arm();
  }

  find(key: string): Finished | undefined {
    return this.#finished.get(key);
  }

  clear(): void {
    for (const key of [...this.#finished.keys()]) this.#forget(key);
    this.#arm();
  }

  #forget(key: string): void {
    this.#chars -= this.#finished.delete(key)?.transcript.chars ?? 0;
  }

  /** One timer, for the oldest. */
  #arm(): void {
    this.#timer?.cancel();
    const [oldest] = this.#finished;
    this.#timer =
      oldest && this.#clock.after(Math.max(0, oldest[1].until - this.#clock.elapsed()), () => this.#expire());
  }

  #expire(): void {
    const now = this.#clock.elapsed();
    for (const [key, { until }] of this.#finished) if (until <= now) this.#forget(key);
    this.#arm();
  }
}
