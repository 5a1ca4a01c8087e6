/**
 * This node's own profile and beat: made, signed and sent when they change, and the beat every half minute besides, so
 * that silence means gone.
 */

import type { Clock, Timer } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import { type NodeStatus, sealBeat } from '../protocol/beat.ts';
import { type Profile, sealProfile } from '../protocol/profile.ts';
import type { Signer } from '../protocol/signature.ts';

/** How this node is right now. */
export interface Load {
  readonly status: NodeStatus;
  readonly queueDepth: number;
  readonly running: number;
}

export interface AnnouncerOptions {
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  /** Milliseconds between two beats. */
  readonly beatEveryMs: number;
}

export interface AnnouncerDeps {
  readonly signer: Signer;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Of a profile or beat: greater than every one before it, of earlier runs of this node too (`numbers.ts`). */
  readonly nextNumber: () => number;
  /** What the profile says, but for its number and time. */
  readonly describe: () => Omit<Profile, 'node' | 'number' | 'issuedAt'>;
  readonly load: () => Load;
  readonly sendProfile: (bytes: Uint8Array) => void;
  readonly sendBeat: (bytes: Uint8Array) => void;
}

interface SealedProfile {
  readonly bytes: Uint8Array;
  /** What it says, to see whether there is anything new. */
  readonly content: string;
  readonly number: number;
}

interface SealedBeat {
  readonly bytes: Uint8Array;
  readonly load: Load;
  /** `Clock.elapsed()` when it was made. */
  readonly at: number;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #deps: AnnouncerDeps;
  #profile: SealedProfile;
  #beat: SealedBeat;
  #profileSentAt = Number.NEGATIVE_INFINITY;
  /** When a change of status was told last; the regular beats between do not count. */
  #changeSentAt = Number.NEGATIVE_INFINITY;
  /** What the last beat said. */
  #sent: Load | undefined;
  #profileDue: Timer | undefined;
  #beatDue: Timer | undefined;
  #pulse: Timer | undefined;
  #running = false;

  constructor(options: AnnouncerOptions, deps: AnnouncerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#profile = this.#makeProfile();
    this.#beat = this.#makeBeat(deps.load());
  }

  /** Sends both, and from then on whatever changes. */
  start(): void {
    this.#running = true;
    this.#renewProfile();
    this.#sendProfile();
    this.#sendBeat(this.#deps.load());
    this.#schedulePulse();
  }

  /** Says `leaving` and is silent from then on. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    for (const timer of [this.#profileDue, this.#beatDue, this.#pulse]) timer?.cancel();
    this.#sendBeat({ ...this.#deps.load(), status: 'leaving' });
  }

  /** What others are told when they ask: as it is now, whatever was sent last. */
  own(): { readonly profile: Uint8Array; readonly beat: Uint8Array; readonly ageMs: number } {
    const load = this.#deps.load();
    if (!sameLoad(load, this.#beat.load)) this.#beat = this.#makeBeat(load);
    const ageMs = Math.max(0, Math.round(this.#deps.clock.elapsed() - this.#beat.at));
    return { profile: this.#profile.bytes, beat: this.#beat.bytes, ageMs };
  }

  /** Models, name or addresses may have changed: a new profile goes out if they did, at most one a second. */
  profileChanged(): void {
    if (!this.#running || this.#profileDue !== undefined) return;
    const waitMs = Math.max(0, this.#profileSentAt + MESH.profileEveryMs - this.#deps.clock.elapsed());
    this.#profileDue = this.#deps.clock.after(waitMs, () => {
      this.#profileDue = undefined;
      if (!this.#renewProfile()) return;
      this.#sendProfile();
      this.#sendBeat(this.#deps.load());
    });
  }

  /**
   * Status, queue or running jobs may have changed. A change of status that outlasts a moment, or a line grown or shrunk by
   * half, goes out at once, later ones in steps; the rest rides the next beat. The job that caused it never waits for it.
   */
  loadChanged(): void {
    if (!this.#running || this.#beatDue !== undefined) return;
    const restMs = this.#changeSentAt + MESH.statusEveryMs - this.#deps.clock.elapsed();
    this.#beatDue = this.#deps.clock.after(Math.max(MESH.statusSettleMs, restMs), () => {
      this.#beatDue = undefined;
      const load = this.#deps.load();
      if (this.#sent !== undefined && isOldNews(load, this.#sent)) return;
      this.#changeSentAt = this.#deps.clock.elapsed();
      this.#sendBeat(load);
    });
  }

  #schedulePulse(): void {
    const jitterMs = (2 * this.#deps.random() - 1) * MESH.beatJitterMs;
    this.#pulse = this.#deps.clock.after(Math.max(1, this.#options.beatEveryMs + jitterMs), () => {
      this.#sendBeat(this.#deps.load());
      this.#schedulePulse();
    });
  }

  #sendProfile(): void {
    this.#profileSentAt = this.#deps.clock.elapsed();
    this.#deps.sendProfile(this.#profile.bytes);
  }

  #sendBeat(load: Load): void {
    this.#beat = this.#makeBeat(load);
    this.#sent = load;
    this.#deps.sendBeat(this.#beat.bytes);
  }

  /** Whether there was anything to say that the last profile did not. */
  #renewProfile(): boolean {
    if (JSON.stringify(this.#deps.describe()) === this.#profile.content) return false;
    this.#profile = this.#makeProfile();
    return true;
  }

  #makeProfile(): SealedProfile {
    const description = this.#deps.describe();
    const number = this.#deps.nextNumber();
    const profile = { ...description, number, issuedAt: this.#deps.clock.now() };
    const bytes = sealProfile(this.#options.networkId, this.#deps.signer, profile);
    return { bytes, content: JSON.stringify(description), number };
  }

  #makeBeat(load: Load): SealedBeat {
    const beat = {
      ...load,
      sequence: this.#deps.nextNumber(),
      profileNumber: this.#profile.number,
      ttlMs: MESH.beatTtlMs,
    };
    const bytes = sealBeat(this.#options.networkId, this.#deps.signer, beat);
    return { bytes, load, at: this.#deps.clock.elapsed() };
  }
}

/** Whoever chooses among providers by a line that is half or twice as long by now chooses wrongly. */
function isOldNews(now: Load, sent: Load): boolean {
  const [short, long] = [Math.min(now.queueDepth, sent.queueDepth), Math.max(now.queueDepth, sent.queueDepth)];
  return now.status === sent.status && long - short <= Math.max(1, short);
}

function sameLoad(a: Load, b: Load): boolean {
  return a.status === b.status && a.queueDepth === b.queueDepth && a.running === b.running;
}
