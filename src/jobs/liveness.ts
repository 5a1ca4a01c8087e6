/**
 * Whether a provider still works on the job it has, and how fast it was seen to. Silence: another machine has sent no frame of
 * any kind for too long. Stall: it is there and says so, but its answer has begun and no token comes any more.
 */

import type { Clock, Timer } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { JobInput } from '../protocol/job.ts';
import type { RequesterChannel } from './ports.ts';
import type { Seen } from './routing/decision.ts';

export interface Watched {
  /** Another machine: this one cannot fall silent. */
  readonly remote: boolean;
  /** Its tokens come one by one, see `streams`. */
  readonly streams: boolean;
}

/** Whether engines give an answer to this token by token: a call of a tool comes when it is whole, after a long silence. */
export function streams(input: JobInput): boolean {
  return input.kind === 'generate' || (input.kind === 'chat' && (input.tools ?? []).length === 0);
}

/**
 * Breaks the channel of a provider that is gone or stands still. One timer for a job at another machine, to be cancelled when
 * the job leaves; none for one of this machine, whose provider flow never misses to say every half second where it is.
 */
export class Liveness {
  readonly #channel: RequesterChannel;
  readonly #clock: Clock;
  readonly #watched: Watched;
  /** Milliseconds between the last tokens, a ring. */
  readonly #gaps: number[] = [];
  #gapCount = 0;
  #acceptedAt = 0;
  /** `heardAt` of the first token and of the last; undefined before the first. */
  #firstAt: number | undefined;
  #tokenAt: number | undefined;
  /** Milliseconds since the last token that the requester waited for the next one, up to `#waitsSince`. */
  #quietMs = 0;
  /** When the requester began to wait for a message; undefined while it is busy with its client. First it waits. */
  #waitsSince: number | undefined;
  #timer: Timer | undefined;
  #lookAt = 0;

  constructor(channel: RequesterChannel, clock: Clock, watched: Watched) {
    this.#channel = channel;
    this.#clock = clock;
    this.#watched = watched;
    this.#waitsSince = clock.elapsed();
    if (watched.remote) this.#lookAgain(clock.elapsed(), JOB.silenceMs);
  }

  /** The provider runs the job now. */
  accepted(): void {
    this.#acceptedAt = this.#channel.heardAt;
  }

  /** A part of the answer has come. */
  get hasBegun(): boolean {
    return this.#firstAt !== undefined;
  }

  /** How the answer came in, of so many tokens. */
  seen(tokens: number): Seen {
    const { heardAt } = this.#channel;
    const firstAt = this.#firstAt ?? heardAt;
    return { tokens, firstMs: firstAt - this.#acceptedAt, writeMs: (this.#tokenAt ?? heardAt) - firstAt };
  }

  /** The requester waits for the next message of the answer. A client that reads slowly is not the provider's fault. */
  waits(): void {
    this.#waitsSince = this.#clock.elapsed();
  }

  /** The message was a part of the answer. */
  token(): void {
    const { heardAt } = this.#channel;
    if (this.#tokenAt === undefined) this.#firstAt = heardAt;
    else this.#gaps[this.#gapCount++ % JOB.stallGapsKept] = heardAt - this.#tokenAt;
    this.#tokenAt = heardAt;
    this.#quietMs = 0;
    this.#waitsSince = undefined;
  }

  /** The message was something else: the time without a token goes on. */
  other(): void {
    if (this.#waitsSince === undefined) return;
    const waitedMs = this.#clock.elapsed() - this.#waitsSince;
    this.#waitsSince = undefined;
    // From this machine something comes every half second: later than that, this process itself was held up.
    this.#quietMs += this.#watched.remote ? waitedMs : Math.min(waitedMs, JOB.progressEveryMs + JOB.heldUpMs);
  }

  /** The message was that the provider is there, and nothing more. */
  isThere(): void {
    this.other();
    if (!this.#watched.remote && this.#stalledIn(this.#clock.elapsed()) <= 0) this.#breakStalled();
  }

  cancel(): void {
    this.#timer?.cancel();
  }

  #lookAgain(now: number, inMs: number): void {
    this.#lookAt = now + inMs;
    this.#timer = this.#clock.after(inMs, () => this.#look());
  }

  #look(): void {
    const now = this.#clock.elapsed();
    const silentIn = this.#silentIn(now);
    const stalledIn = this.#stalledIn(now);
    if (now - this.#lookAt >= JOB.heldUpMs) {
      // This process itself was held up: frames may lie unread, so the provider gets one more look.
      this.#lookAgain(now, JOB.heldUpMs);
    } else if (silentIn <= 0) {
      this.#break('provider_lost', 'the provider fell silent');
    } else if (stalledIn <= 0) {
      this.#breakStalled();
    } else {
      this.#lookAgain(now, Math.min(silentIn, stalledIn));
    }
  }

  /** Milliseconds until the provider counts as silent, if nothing comes. */
  #silentIn(now: number): number {
    const left = this.#channel.heardAt + JOB.silenceMs - now;
    // Whoever does not wait may have the rest of the answer here and not have read it yet.
    return this.#waitsSince === undefined ? Math.max(left, JOB.heldUpMs) : left;
  }

  /** Milliseconds until the answer counts as stalled, if nothing comes; infinite when it cannot. */
  #stalledIn(now: number): number {
    if (!this.#watched.streams || this.#tokenAt === undefined) return Number.POSITIVE_INFINITY;
    const left = this.#stallMs() - this.#quietMs;
    if (this.#waitsSince !== undefined) return left - (now - this.#waitsSince);
    // Whoever does not wait cannot miss a token; it may begin to wait at once.
    return this.#watched.remote ? Math.max(left, JOB.heldUpMs) : left;
  }

  #stallMs(): number {
    if (this.#gaps.length === 0) return JOB.stallMs;
    const sorted = this.#gaps.toSorted((a, b) => a - b);
    return Math.max(JOB.stallMs, JOB.stallGaps * (sorted[sorted.length >> 1] ?? 0));
  }

  #breakStalled(): void {
    const secs = Math.round(this.#stallMs() / 1000);
    this.#break('engine_failed', `its engine stopped in mid-answer: no token for ${secs} s`);
  }

  #break(code: 'provider_lost' | 'engine_failed', message: string): void {
    // It may be there and only its engine stands still: then this is how it learns that nobody waits any more.
    this.#channel.send({ type: 'cancel' });
    this.#channel.abort(new GoGridError({ code, message }));
  }
}
