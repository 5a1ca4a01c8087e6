/** One job being served: what it has written, to whom that goes, and what stops it. */

import { type Clock, every, type Timer } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { HandOverReason, JobRequest, Phase, ToRequester } from '../protocol/job.ts';
import type { OpenJob } from './book.ts';
import { ChunkWriter, type Piece } from './chunk-writer.ts';
import type { EngineEvent, EngineModel, ProviderChannel } from './ports.ts';
import type { Place } from './queue/fair-queue.ts';
import { Transcript } from './transcripts.ts';

type Done = Extract<EngineEvent, { type: 'done' }>;
type Vectors = Extract<EngineEvent, { type: 'vectors' }>;

/** Where the answer goes now. When the job is sent again it is another. */
interface Listener {
  readonly channel: ProviderChannel;
  readonly chunks: ChunkWriter;
  /** What its requester had of the answer when it asked. */
  readonly resume: JobRequest['resume'];
}

export class Run {
  readonly from: NodeId;
  readonly request: JobRequest;
  /** Names the job: its requester chose the id. */
  readonly key: string;
  readonly transcript: Transcript;
  /** Resolves when the run was told to stop. */
  readonly stopped: Promise<void>;
  /** Resolves when the run has left. */
  readonly ended: Promise<void>;
  /** Resolves when the engine has had its time to stop, and has not. */
  readonly abandoned: Promise<void>;
  /** The model it runs with, once it has its turn. */
  model: EngineModel | undefined;
  place: Place | undefined;
  record: OpenJob | undefined;
  phase: Phase = 'prefill';
  /** `Clock.elapsed()` when it got its slot. */
  startedAt = 0;
  /** The answer is complete. */
  complete = false;
  /** Set when the job is given back instead of ended. */
  givenBack: HandOverReason | undefined;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  readonly #abandon = Promise.withResolvers<void>();
  readonly #life: Timer;
  readonly #timers: Timer[] = [];
  #deadline: Timer | undefined;
  #endsAt = Number.POSITIVE_INFINITY;
  #listener: Listener;
  #finished = false;

  constructor(from: NodeId, request: JobRequest, channel: ProviderChannel, clock: Clock) {
    this.from = from;
    this.request = request;
    this.key = keyOf(from, request);
    this.transcript = new Transcript(request.resume);
    this.#clock = clock;
    this.stopped = new Promise((resolve) => this.signal.addEventListener('abort', () => resolve(), { once: true }));
    this.ended = this.#end.promise;
    this.abandoned = this.#abandon.promise;
    this.#listener = this.#listenTo(channel, request);
    this.#life = every(clock, JOB.progressEveryMs, () => this.sendStatus());
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** @throws what it was stopped with, or GoGridError `deadline_exceeded`, however late the timers are */
  throwIfOver(): void {
    this.signal.throwIfAborted();
    if (this.#clock.elapsed() >= this.#endsAt) throw outOfTime();
  }

  /** The requester was told that the job runs. */
  get accepted(): boolean {
    return this.model !== undefined;
  }

  /* ---- what stops it ---- */

  stop(reason: GoGridError): void {
    if (this.signal.aborted || this.#finished) return;
    this.#stop.abort(reason);
    this.#listener.chunks.release();
    // In two steps: a process that was held up for as long has not given its engine the time.
    const half = JOB.cancelWithinMs / 2;
    this.#after(half, () => this.#after(half, () => this.#abandon.resolve()));
  }

  /** Stops the engine; what was written is sent, and the requester is asked to place the job again. */
  giveBack(reason: HandOverReason): void {
    if (this.signal.aborted || this.#finished) return;
    this.givenBack = reason;
    const code = reason === 'drain' ? 'shutting_down' : 'preempted';
    this.stop(new GoGridError({ code, message: `the job is given back: ${reason}` }));
  }

  /**
   * This machine lets no job run longer than `ms` milliseconds at a stretch. What has begun is given back, which is nobody's
   * fault: it goes on elsewhere, or here when others have had their turn.
   */
  limit(ms: number): void {
    this.#after(ms, () => {
      if (this.transcript.begun || this.complete) return this.giveBack('pause');
      const message = `its engine wrote nothing within ${ms / 1000} s, as long as a job may run there`;
      this.stop(new GoGridError({ code: 'engine_failed', message }));
    });
  }

  /** The run has left: the stream ends. */
  finish(): void {
    this.#finished = true;
    this.#life.cancel();
    this.#deadline?.cancel();
    for (const timer of this.#timers) timer.cancel();
    this.#listener.channel.close();
    this.#end.resolve();
  }

  /* ---- what its requester hears ---- */

  send(message: ToRequester): void {
    this.#listener.channel.send(message);
  }

  sendStatus(): void {
    this.send(this.#status());
  }

  accepts(model: EngineModel): void {
    this.model = model;
    this.send({ type: 'accepted', digest: model.digest });
  }

  /** Resolves at once while its reader keeps up; awaiting it is what holds the engine back. */
  write(piece: Piece): Promise<void> | undefined {
    this.phase = 'decoding';
    this.transcript.add(piece);
    const room = this.#listener.chunks.push(piece);
    return room && this.#untilRead(room);
  }

  async writeVectors(vectors: Vectors): Promise<void> {
    this.transcript.drop();
    const { channel } = this.#listener;
    channel.send(vectors);
    if (!channel.writable) await this.#untilRead(Promise.race([channel.drained(), this.stopped]));
  }

  /** Tells the end of the answer, behind all of it. */
  async writeEnd({ reason, usage }: Omit<Done, 'type'>): Promise<void> {
    this.complete = true;
    const { chunks, resume } = this.#listener;
    await Promise.race([chunks.finish(), this.stopped]);
    this.signal.throwIfAborted();
    this.send({ type: 'usage', ...this.transcript.usageFor(resume, usage) });
    this.send({ type: 'end', reason });
  }

  /** What was written is with the channel when this resolves, also when its reader lags behind by a chunk or two. */
  async flush(): Promise<void> {
    const { chunks, channel } = this.#listener;
    const mayLag = 2 * JOB.maxChunkBytes;
    if (chunks.pendingChars > mayLag) {
      // A long rest of an answer that was just taken over, which the reader has to make room for.
      const late = Promise.withResolvers<void>();
      this.#after(JOB.handOverWithinMs, late.resolve);
      await Promise.race([chunks.finish(), late.promise]);
    }
    if (chunks.pendingChars > mayLag) {
      channel.abort(new GoGridError({ code: 'provider_lost', message: 'the requester does not read the answer' }));
    }
    chunks.force();
  }

  /**
   * The same job was sent again: its new stream goes on from what its requester has, and the old one ends.
   * @returns whether that is possible
   */
  takeOver(request: JobRequest, channel: ProviderChannel): boolean {
    if (this.complete || this.#finished || this.signal.aborted) return false;
    if (request.model !== this.request.model || request.input.kind !== this.request.input.kind) return false;
    if (request.digest !== undefined && request.digest !== (this.model?.digest ?? this.request.digest)) return false;
    const rest = this.transcript.after(request.resume);
    if (rest === undefined) return false;
    const old = this.#listener;
    const message = 'the same job was asked for again';
    old.channel.send({ type: this.accepted ? 'error' : 'reject', code: 'cancelled', message });
    old.channel.close();
    this.#listener = this.#listenTo(channel, request);
    old.chunks.release();
    if (this.model === undefined) this.sendStatus();
    else this.send({ type: 'accepted', digest: this.model.digest });
    for (const piece of rest) void this.#listener.chunks.push(piece);
    return true;
  }

  /** Whoever takes nothing of its answer does not keep the slot from others. */
  async #untilRead(room: Promise<void>): Promise<void> {
    const tooLong = this.#clock.after(JOB.unreadMs, () => this.giveBack('pause'));
    await room;
    tooLong.cancel();
  }

  #after(ms: number, act: () => void): void {
    this.#timers.push(this.#clock.after(ms, act));
  }

  #listenTo(channel: ProviderChannel, { resume, deadlineMs }: JobRequest): Listener {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    this.#endsAt = Number.POSITIVE_INFINITY;
    if (deadlineMs !== undefined) {
      this.#endsAt = this.#clock.elapsed() + deadlineMs;
      const late = () => this.stop(outOfTime());
      this.#deadline = this.#clock.after(deadlineMs, late);
    }
    void this.#untilGone(channel);
    return { channel, chunks: new ChunkWriter(channel), resume };
  }

  /** A requester says nothing but `cancel`; that, its silence for ever, or a broken stream all mean: stop. */
  async #untilGone(channel: ProviderChannel): Promise<void> {
    await channel.receive().catch(() => undefined);
    // Most have ended: an error is dear, and nobody would see it.
    if (this.#finished || this.#listener.channel !== channel) return;
    this.stop(new GoGridError({ code: 'cancelled', message: 'the requester is gone' }));
  }

  /** What the requester hears while there is nothing else to say. */
  #status(): ToRequester {
    if (this.accepted) return { type: 'progress', phase: this.phase };
    // Without a place yet it waits for its older self to leave.
    return { type: 'queued', position: this.place?.position() || 1, estimateMs: this.place?.estimateMs() ?? 0 };
  }
}

export function keyOf(from: NodeId, { job }: JobRequest): string {
  return `${from}/${job}`;
}

function outOfTime(): GoGridError {
  const message = 'the job ran out of time: nobody waits for the answer any more';
  return new GoGridError({ code: 'deadline_exceeded', message });
}
