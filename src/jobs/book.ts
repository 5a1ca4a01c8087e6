/** The jobs of this node: those that live, those that ended lately, and through the history port those before. */

import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobKind } from '../protocol/job.ts';
import type { Emit, JobHistory } from './ports.ts';
import type { PrivacyTier } from './privacy.ts';
import type { Lane } from './queue/lanes.ts';
import { RecentMap } from './recent-map.ts';
import type { Attempt, Direction, JobRecord, JobWait } from './record.ts';
import type { Decision } from './routing/decision.ts';
import { isFinished, type JobState, step } from './states.ts';

interface Opening {
  readonly id: string;
  readonly kind: JobKind;
  readonly direction: Direction;
  readonly model: string;
  readonly requester: NodeId;
  /** Of a peer's job the lane in which it waits here; of an own one it is known when it is placed. */
  readonly lane: Lane;
  readonly privacy: PrivacyTier | null;
}

/** One living job. Counters are plain numbers: they change with every chunk. */
export class OpenJob {
  readonly id: string;
  readonly kind: JobKind;
  readonly model: string;
  readonly requester: NodeId;
  readonly createdAt: number;
  readonly privacy: PrivacyTier | null;
  direction: Direction;
  lane: Lane;
  decision: Decision | null = null;
  tokensIn = 0;
  tokensOut = 0;
  usageEstimated = false;
  tokensPerSecond: number | null = null;
  /** What it waits for now; asked whenever somebody looks. */
  waiting: (() => JobWait) | undefined;
  /** What to do when somebody cancels the job by its id; set by the flow that runs it. */
  onCancel: (reason: GoGridError) => void = () => {};
  readonly #clock: Clock;
  readonly #changed: (job: OpenJob) => void;
  readonly #attempts: Attempt[] = [];
  readonly #seenBy = new Set<NodeId>();
  #state: JobState;
  #provider: NodeId | null = null;
  #reason: string | null = null;
  #firstTokenAt: number | null = null;
  #endedAt: number | null = null;

  constructor(opening: Opening, clock: Clock, changed: (job: OpenJob) => void) {
    this.id = opening.id;
    this.kind = opening.kind;
    this.direction = opening.direction;
    // A peer's job begins in the queue here; an own one looks for its provider.
    this.#state = opening.direction === 'in' ? 'queued' : 'placing';
    this.lane = opening.lane;
    this.privacy = opening.privacy;
    this.model = opening.model;
    this.requester = opening.requester;
    this.createdAt = clock.now();
    this.#clock = clock;
    this.#changed = changed;
  }

  get state(): JobState {
    return this.#state;
  }

  get attempts(): readonly Attempt[] {
    return this.#attempts;
  }

  cancel(): void {
    this.onCancel(new GoGridError({ code: 'cancelled', message: 'the job was cancelled' }));
  }

  to(state: JobState): void {
    if (state === this.#state) return;
    this.#state = step(this.#state, state);
    this.#changed(this);
  }

  firstToken(): void {
    this.#firstTokenAt ??= this.#clock.now();
  }

  /**
   * A node is about to be sent the prompt. That is put on record first, so that no crash forgets who saw it.
   * @returns takes it back, where nothing was sent after all; one that was sent it before stays on record
   */
  seen(node: NodeId): () => void {
    if (this.#seenBy.has(node)) return () => {};
    this.#seenBy.add(node);
    // Whoever asked has seen it anyway.
    if (node !== this.requester) this.#changed(this);
    return () => {
      this.#seenBy.delete(node);
      this.#changed(this);
    };
  }

  /**
   * A provider has taken the job, or failed to.
   * @param startedAt when it was asked; milliseconds since 1970
   */
  attemptStarts(provider: NodeId, startedAt = this.#clock.now()): void {
    this.#provider = provider;
    const fromToken = this.tokensOut;
    this.#attempts.push({
      provider,
      startedAt,
      endedAt: null,
      fromToken,
      toToken: fromToken,
      reason: null,
      digest: null,
    });
  }

  /** The provider of the running attempt took the job, with a model of this digest. */
  attemptAccepted(digest: string): void {
    this.#amendAttempt({ digest });
  }

  attemptEnds(reason: string | null): void {
    this.#amendAttempt({ endedAt: this.#clock.now(), toToken: this.tokensOut, reason });
  }

  /** Ends the job; the record goes to history. */
  end(state: 'completed' | 'failed' | 'cancelled' | 'expired', reason: string | null): void {
    if (isFinished(this.#state)) return;
    if (this.#attempts.at(-1)?.endedAt === null) this.attemptEnds(reason);
    this.#reason = reason;
    this.#endedAt = this.#clock.now();
    this.to(state);
  }

  record(): JobRecord {
    return {
      id: this.id,
      kind: this.kind,
      direction: this.direction,
      state: this.#state,
      lane: this.lane,
      privacy: this.privacy,
      model: this.model,
      requester: this.requester,
      provider: this.#provider,
      attempts: [...this.#attempts],
      seenBy: [...this.#seenBy],
      decision: this.decision,
      reason: this.#reason,
      tokensIn: this.tokensIn,
      tokensOut: this.tokensOut,
      usageEstimated: this.usageEstimated,
      costMicrocredits: '0',
      createdAt: this.createdAt,
      firstTokenAt: this.#firstTokenAt,
      endedAt: this.#endedAt,
      tokensPerSecond: this.tokensPerSecond,
      ...(this.waiting !== undefined && this.#endedAt === null && { waiting: this.waiting() }),
    };
  }

  #amendAttempt(change: Partial<Attempt>): void {
    const last = this.#attempts.pop();
    if (last !== undefined) this.#attempts.push({ ...last, ...change });
  }
}

export interface BookTotals {
  readonly running: number;
  readonly queued: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
}

export class JobBook {
  readonly #clock: Clock;
  readonly #history: JobHistory;
  readonly #emit: Emit;
  readonly #open = new Map<string, OpenJob>();
  /** Those that ended lately. Apart, so that peers' jobs do not push out this node's. */
  readonly #recentOwn = new RecentMap<string, JobRecord>(JOB.maxRecent);
  readonly #recentOfPeers = new RecentMap<string, JobRecord>(JOB.maxRecent);
  #completed = 0;
  #failed = 0;
  #cancelled = 0;

  constructor(deps: { clock: Clock; history: JobHistory; emit: Emit }) {
    this.#clock = deps.clock;
    this.#history = deps.history;
    this.#emit = deps.emit;
  }

  open(opening: Opening): OpenJob {
    const job = new OpenJob(opening, this.#clock, (changed) => this.#changed(changed));
    this.#open.set(keyOf(opening), job);
    this.#changed(job);
    return job;
  }

  /**
   * Asks a living job to stop; one that is over stays as it is.
   * @returns the job, or undefined when there is none of that id
   */
  async cancel(id: string): Promise<JobRecord | undefined> {
    const job = find(this.#open, id);
    job?.cancel();
    return job?.record() ?? this.get(id);
  }

  async get(id: string): Promise<JobRecord | undefined> {
    const own = this.#open.get(id)?.record() ?? this.#recentOwn.get(id);
    return own ?? find(this.#open, id)?.record() ?? find(this.#recentOfPeers, id) ?? this.#history.get(id);
  }

  /** Living ones first, then newest first. */
  async list(limit: number): Promise<{ jobs: readonly JobRecord[]; total: number }> {
    const living = [...this.#open.values()].map((job) => job.record()).reverse();
    const seen = new Set([...this.#open.keys()]);
    const past = await this.#history.list(limit);
    const ended = past.jobs.filter((record) => !seen.has(keyOf(record)));
    return {
      jobs: [...living, ...ended].slice(0, limit),
      total: Math.max(past.total, living.length + ended.length),
    };
  }

  totals(): BookTotals {
    let running = 0;
    for (const job of this.#open.values()) if (job.state === 'running') running++;
    return {
      running,
      queued: this.#open.size - running,
      completed: this.#completed,
      failed: this.#failed,
      cancelled: this.#cancelled,
    };
  }

  #changed(job: OpenJob): void {
    const record = job.record();
    if (isFinished(record.state)) this.#retire(job, record);
    const { waiting: _, ...kept } = record;
    this.#history.put(kept);
    this.#emit({ type: 'job', job: record });
  }

  #retire(job: OpenJob, record: JobRecord): void {
    // A job that was asked for again stands under the same name.
    if (this.#open.get(keyOf(record)) === job) this.#open.delete(keyOf(record));
    (record.direction === 'in' ? this.#recentOfPeers : this.#recentOwn).set(keyOf(record), record);
    if (record.state === 'completed') this.#completed++;
    else if (record.state !== 'cancelled') this.#failed++;
    // A job that was given back goes on elsewhere: nobody cancelled it.
    else if (record.reason === 'cancelled') this.#cancelled++;
  }
}

/** A peer chooses the ids of its own jobs: they must not meet ours, nor another peer's. */
function keyOf(job: { id: string; direction: Direction; requester: NodeId }): string {
  return job.direction === 'in' ? `${job.id}/${job.requester}` : job.id;
}

/** Our own job of this id, else a peer's. */
function find<T>(jobs: Pick<RecentMap<string, T>, 'get' | typeof Symbol.iterator>, id: string): T | undefined {
  const own = jobs.get(id);
  if (own !== undefined) return own;
  for (const [key, job] of jobs) if (key.startsWith(`${id}/`)) return job;
  return undefined;
}
