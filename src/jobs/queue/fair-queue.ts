/**
 * Where jobs wait at a provider: a bounded line in front of a fixed number of slots, in fair order. It stands before the
 * engine, whatever queue the engine has of its own, so that order, bounds and estimates are ours.
 */

import type { Clock, Timer } from '../../clock.ts';
import { JOB, QUEUE } from '../../limits/jobs.ts';
import { RecentMap } from '../recent-map.ts';
import { Durations, type OfWork, type Usual } from './durations.ts';
import { forecast, type Outlook, type WaitingJob } from './forecast.ts';
import type { Lane } from './lanes.ts';
import { nextOf } from './order.ts';
import { StartLimit } from './start-limit.ts';
import { TokenCounters } from './vtc.ts';

export interface FairQueueOptions {
  /** Jobs that run at once. */
  readonly slots: number;
  /** Jobs of peers that wait at most, and as many of the owner's. */
  readonly room: number;
  /** Jobs of the free lane that one account may start within a minute. */
  readonly freeJobsPerPeerPerMinute: number;
}

/** A job that wants a place. */
export interface Ticket extends OfWork {
  /** Names the job, for the place that is kept for it when it is given back. */
  readonly key: string;
  readonly lane: Lane;
  readonly account: string;
  /** As far as can be told before the engine has counted. */
  readonly inputTokens: number;
}

/** A job's place, from entering the line to leaving its slot. */
export interface Place {
  /** Resolves when the job may run. Never resolves for a place that was left while waiting. */
  readonly turn: Promise<void>;
  /** 0 when it has a slot, 1 when it is next, and so on. */
  position(): number;
  /** Milliseconds until it is expected to have a slot, if nobody comes who goes before it. */
  estimateMs(): number;
  /** The running job has written so many tokens more. */
  wrote(tokens: number): void;
  /** The job ran to its end, and so much it was by the engine's own count. */
  counted(usage: { readonly promptTokens: number; readonly outputTokens: number }): void;
  /** It has a slot now. */
  readonly running: boolean;
  /**
   * Gives the place back, from the line or from the slot; the next job moves up. More than once does nothing.
   * @returns whether it was there still
   */
  leave(): boolean;
}

interface Entry extends WaitingJob {
  state: 'waiting' | 'running' | 'left';
  startedAt: number;
  outputTokens: number;
  readonly start: () => void;
}

const NO_TIME: Usual = { ms: 0, outputTokens: 0 };

export class FairQueue {
  readonly options: FairQueueOptions;
  readonly #clock: Clock;
  readonly #line: Entry[] = [];
  readonly #running = new Set<Entry>();
  readonly #counters: Readonly<Record<Lane, TokenCounters>>;
  readonly #starts: StartLimit;
  readonly #durations = new Durations();
  /** Jobs that were given back: until when (`Clock.elapsed()`) a place is kept for each. */
  readonly #kept = new RecentMap<string, number>(QUEUE.maxKeptPlaces);
  #entered = 0;
  #look: { at: number; outlooks: Map<WaitingJob, Outlook>; endMs: number } | undefined;
  #wakeUp: Timer | undefined;

  constructor(options: FairQueueOptions, clock: Clock) {
    this.options = options;
    this.#clock = clock;
    const counters = () => new TokenCounters(QUEUE.maxAccounts);
    this.#counters = { owner: counters(), paid: counters(), free: counters() };
    this.#starts = new StartLimit(options.freeJobsPerPeerPerMinute, QUEUE.maxAccounts);
  }

  get depth(): number {
    return this.#line.length;
  }

  get running(): number {
    return this.#running.size;
  }

  waitingIn(lane: Lane): number {
    let count = 0;
    for (const entry of this.#line) if (entry.lane === lane) count++;
    return count;
  }

  /** The service that an account has had, as it counts for its next job. */
  counterOf({ lane, account }: { readonly lane: Lane; readonly account: string }): number {
    return this.#counters[lane].of(account);
  }

  /** The same without the lift: for an account whose jobs wait elsewhere since it was last turned away here. */
  servedTo({ lane, account }: { readonly lane: Lane; readonly account: string }): number {
    return this.#counters[lane].servedTo(account);
  }

  /** Enters the line, or returns undefined when there is no room for it. */
  enter(ticket: Ticket): Place | undefined {
    const returning = this.#takeKept(ticket.key);
    if (!returning && !this.#hasRoomFor(ticket)) return undefined;
    const { lane, account, work, prior } = ticket;
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry: Entry = {
      lane,
      account,
      work,
      prior,
      // What a job that returns had read was charged when it was here before.
      inputTokens: returning ? 0 : Math.max(QUEUE.minInputTokens, ticket.inputTokens),
      returning,
      order: this.#entered++,
      state: 'waiting',
      startedAt: 0,
      outputTokens: 0,
      start: resolve,
    };
    this.#counters[lane].arrives(account);
    this.#line.push(entry);
    this.#advance();
    return this.#placeOf(entry, promise);
  }

  /**
   * Keeps a place for a job that is given back here: sent again in time, it is taken though there be no room, and stands first
   * of its account.
   */
  keepFor(key: string): void {
    this.#kept.set(key, this.#clock.elapsed() + QUEUE.keepPlaceMs);
  }

  /** Milliseconds until a job that came now is expected to have a slot, if room were made for it. */
  estimateFor({ lane, account }: Pick<Ticket, 'lane' | 'account'>): number {
    if (this.#running.size < this.options.slots && lane !== 'free') return 0;
    // When it starts is asked, not when it ends.
    const job = { lane, account, work: '', prior: NO_TIME, inputTokens: 0 };
    const newcomer: WaitingJob = { ...job, returning: false, order: this.#entered };
    if (this.#line.length > QUEUE.maxForecastJobs) return toEstimate(this.#outlookOf(newcomer).ms);
    return toEstimate(this.#forecast([...this.#line, newcomer]).get(newcomer)?.ms);
  }

  /* ---- entering and leaving ---- */

  /** Only who has to wait needs room: whoever can start at once takes none. */
  #hasRoomFor({ lane, account }: Ticket): boolean {
    const { slots, room, freeJobsPerPeerPerMinute } = this.options;
    if (lane === 'free' && freeJobsPerPeerPerMinute === 0) return false;
    const now = this.#clock.elapsed();
    if (this.#running.size < slots && (lane !== 'free' || this.#starts.nextAt(account, now) <= now)) return true;
    // At least those for which jobs of peers make way.
    if (lane === 'owner') return this.waitingIn('owner') < Math.max(room, slots);
    let ofPeers = 0;
    let ofAccount = 0;
    for (const entry of this.#line) {
      if (entry.lane === 'owner') continue;
      ofPeers++;
      if (entry.account === account) ofAccount++;
    }
    return ofPeers < room && ofAccount < Math.max(1, Math.floor(room / 4));
  }

  #takeKept(key: string): boolean {
    const until = this.#kept.delete(key);
    return until !== undefined && until > this.#clock.elapsed();
  }

  #placeOf(entry: Entry, turn: Promise<void>): Place {
    const counters = this.#counters[entry.lane];
    return {
      turn,
      get running() {
        return entry.state === 'running';
      },
      position: () => (entry.state === 'waiting' ? this.#outlookOf(entry).position : 0),
      estimateMs: () => (entry.state === 'waiting' ? toEstimate(this.#outlookOf(entry).ms) : 0),
      wrote: (tokens) => {
        entry.outputTokens += tokens;
        counters.charge(entry.account, 0, tokens);
      },
      counted: ({ promptTokens, outputTokens }) => {
        const inputTokens = entry.returning ? 0 : Math.max(QUEUE.minInputTokens, promptTokens) - entry.inputTokens;
        counters.charge(entry.account, inputTokens, outputTokens - entry.outputTokens);
        this.#durations.measured(entry.work, { ms: this.#clock.elapsed() - entry.startedAt, outputTokens });
      },
      leave: () => this.#leave(entry),
    };
  }

  #leave(entry: Entry): boolean {
    if (entry.state === 'left') return false;
    const counters = this.#counters[entry.lane];
    if (entry.state === 'running') {
      this.#running.delete(entry);
      counters.ends(entry.account);
    } else {
      this.#line.splice(this.#line.indexOf(entry), 1);
      counters.leaves(entry.account, 'gives-up');
    }
    entry.state = 'left';
    this.#advance();
    return true;
  }

  /* ---- who is next ---- */

  #advance(): void {
    // In a long line one change more or less is nothing; to look again at each would hold up the process.
    if (this.#line.length <= QUEUE.maxForecastJobs) this.#look = undefined;
    this.#wakeUp?.cancel();
    this.#wakeUp = undefined;
    const now = this.#clock.elapsed();
    while (this.#line.length > 0 && this.#running.size < this.options.slots) {
      const next = nextOf(
        this.#line,
        (entry) => this.counterOf(entry),
        ({ account }) => this.#starts.nextAt(account, now) <= now,
      );
      if (next === undefined) {
        this.#wakeUpForFreeJobs(now);
        return;
      }
      this.#start(next, now);
    }
  }

  #start(entry: Entry, now: number): void {
    this.#line.splice(this.#line.indexOf(entry), 1);
    this.#running.add(entry);
    entry.state = 'running';
    entry.startedAt = now;
    const counters = this.#counters[entry.lane];
    counters.leaves(entry.account, 'starts');
    counters.charge(entry.account, entry.inputTokens, 0);
    if (entry.lane === 'free') this.#starts.started(entry.account, now);
    entry.start();
  }

  /** A slot is free, and each account that waits has had its share of this minute. */
  #wakeUpForFreeJobs(now: number): void {
    let soonest = Number.POSITIVE_INFINITY;
    for (const { account } of this.#line) soonest = Math.min(soonest, this.#starts.nextAt(account, now));
    this.#wakeUp = this.#clock.after(soonest - now, () => this.#advance());
  }

  /* ---- what will be ---- */

  /** Who is not in the last look at a long line has come since, and stands at its end. */
  #outlookOf(job: WaitingJob): Outlook {
    const now = this.#clock.elapsed();
    if (this.#look === undefined || now - this.#look.at >= QUEUE.forecastEveryMs) {
      const outlooks = this.#forecast(this.#line);
      this.#look = { at: now, outlooks, endMs: [...outlooks.values()].at(-1)?.ms ?? 0 };
    }
    const { at, outlooks, endMs } = this.#look;
    const { position, ms } = outlooks.get(job) ?? { position: this.#line.length, ms: endMs };
    return { position, ms: Math.max(0, ms - (now - at)) };
  }

  #forecast(waiting: Iterable<WaitingJob>): Map<WaitingJob, Outlook> {
    const now = this.#clock.elapsed();
    return forecast({
      now,
      slots: this.options.slots,
      running: [...this.#running].map((entry) => ({ ...entry, heldMs: now - entry.startedAt })),
      waiting,
      counterOf: (job) => this.counterOf(job),
      starts: this.#starts,
      durations: this.#durations,
    });
  }
}

/** As it is told: whole milliseconds, and no more than a job may take in all. */
function toEstimate(ms = 0): number {
  return Math.min(Math.round(ms), JOB.maxTotalSecs * 1000);
}
