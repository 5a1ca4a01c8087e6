/**
 * The directory: every node of the mesh this node knows of, by its signed profile and beat. Bounded, and expiring: a node
 * whose beat has run out is gone. What comes in is checked here, once, in one fixed order.
 */

import type { Clock } from '../clock.ts';
import { toGoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import { type Beat, openBeat } from '../protocol/beat.ts';
import type { NodeId } from '../protocol/ids.ts';
import { type ModelProfile, openProfile, type Profile } from '../protocol/profile.ts';
import { ModelIndex } from './model-index.ts';

/** `accept`: new and true, pass it on. `ignore`: nothing new, or not for us. `reject`: its sender should not have sent it. */
export type Verdict = 'accept' | 'ignore' | 'reject';

export interface KnownNode {
  readonly node: NodeId;
  readonly profile: Profile;
  readonly beat: Beat;
  /** `Clock.elapsed()` when the beat was made, as far as is known: relaying does not make it younger. */
  readonly beatAt: number;
}

/** What one `state` page carries of a node. */
export interface SignedNode {
  readonly profile: Uint8Array;
  readonly beat: Uint8Array;
  readonly ageMs: number;
}

export type DirectoryEvent =
  | { readonly type: 'node-joined' | 'node-changed'; readonly node: KnownNode }
  | { readonly type: 'node-gone'; readonly node: NodeId };

interface Entry {
  /** `Clock.elapsed()` when this node first heard of it. */
  readonly since: number;
  profile: { readonly value: Profile; readonly bytes: Uint8Array } | undefined;
  beat: { readonly value: Beat; readonly bytes: Uint8Array; readonly at: number } | undefined;
}

/** Opens and checks what nodes have signed; throws as `openProfile` and `openBeat` do. */
export interface Openers {
  readonly profile: (networkId: Uint8Array, bytes: Uint8Array) => Profile;
  readonly beat: (networkId: Uint8Array, bytes: Uint8Array) => Beat;
}

const SIGNATURES: Openers = { profile: openProfile, beat: openBeat };

export interface DirectoryOptions {
  readonly self: NodeId;
  /** 32 bytes. */
  readonly networkId: Uint8Array;
}

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #clock: Clock;
  readonly #emit: (event: DirectoryEvent) => void;
  readonly #open: Openers;
  /** In the order of their last beat, the oldest first: what has to make room stands in front. */
  readonly #entries = new Map<NodeId, Entry>();
  /** Sequence of the last beat of nodes that left, so that an older one does not bring them back. */
  readonly #gone = new Map<NodeId, number>();
  readonly #models = new ModelIndex();

  /** @param deps `open` for a simulation, where one signature reaches hundreds of directories and is checked once */
  constructor(
    options: DirectoryOptions,
    deps: { clock: Clock; emit: (event: DirectoryEvent) => void; open?: Openers },
  ) {
    this.#options = options;
    this.#clock = deps.clock;
    this.#emit = deps.emit;
    this.#open = deps.open ?? SIGNATURES;
  }

  /** Takes a signed profile. Never throws. */
  ingestProfile(bytes: Uint8Array): Verdict {
    return judged(() => {
      const profile = this.#open.profile(this.#options.networkId, bytes);
      if (profile.node === this.#options.self) return 'ignore';
      const entry = this.#entryOf(profile.node);
      if (entry.profile !== undefined && entry.profile.value.number >= profile.number) return 'ignore';
      const before = known(profile.node, entry);
      this.#models.replace(profile.node, entry.profile?.value.models ?? [], profile.models);
      entry.profile = { value: profile, bytes: bytes.slice() };
      this.#tell(profile.node, before, entry);
      return 'accept';
    });
  }

  /**
   * Takes a signed beat. Never throws.
   * @param ageMs milliseconds since its sender heard it first; 0 when it comes from its author
   */
  ingestBeat(bytes: Uint8Array, ageMs: number): Verdict {
    return judged(() => {
      const beat = this.#open.beat(this.#options.networkId, bytes);
      if (beat.node === this.#options.self || ageMs >= beat.ttlMs) return 'ignore';
      const last = this.#entries.get(beat.node)?.beat?.value.sequence ?? this.#gone.get(beat.node) ?? -1;
      if (beat.sequence <= last) return 'ignore';
      if (beat.status === 'leaving') {
        this.#forget(beat.node, beat.sequence);
        return 'accept';
      }
      const entry = this.#entryOf(beat.node);
      const before = known(beat.node, entry);
      entry.beat = { value: beat, bytes: bytes.slice(), at: this.#clock.elapsed() - ageMs };
      this.#gone.delete(beat.node);
      this.#entries.delete(beat.node);
      this.#entries.set(beat.node, entry);
      this.#tell(beat.node, before, entry);
      return 'accept';
    });
  }

  /** Drops every node whose beat has run out; call it now and then. */
  expire(): void {
    const now = this.#clock.elapsed();
    for (const [node, { beat, since }] of this.#entries) {
      const over = beat === undefined ? now - since >= MESH.beatTtlMs : now - beat.at >= beat.value.ttlMs;
      if (over) this.#forget(node, beat?.value.sequence);
    }
  }

  /** Drops a node that this one has no more to do with; an older beat does not bring it back. */
  forget(node: NodeId): void {
    this.#forget(node, this.#entries.get(node)?.beat?.value.sequence);
  }

  /** A node that has both profile and beat, and whose beat has not run out. */
  get(node: NodeId): KnownNode | undefined {
    const entry = this.#entries.get(node);
    return entry === undefined ? undefined : this.#alive(known(node, entry));
  }

  /** Everybody but this node. */
  *nodes(): Generator<KnownNode> {
    for (const [node, entry] of this.#entries) {
      const alive = this.#alive(known(node, entry));
      if (alive !== undefined) yield alive;
    }
  }

  /** Nodes that announce a model, with its profile; whatever their status. */
  *providersOf(model: string): Generator<{ readonly node: KnownNode; readonly model: ModelProfile }> {
    for (const [name, found] of this.#models.nodesOf(model)) {
      const node = this.get(name);
      if (node !== undefined) yield { node, model: found };
    }
  }

  /** What this node passes on of everybody it knows. */
  *signed(): Generator<SignedNode> {
    const now = this.#clock.elapsed();
    for (const [node, { profile, beat }] of this.#entries) {
      if (profile === undefined || beat === undefined || this.get(node) === undefined) continue;
      yield { profile: profile.bytes, beat: beat.bytes, ageMs: Math.max(0, Math.round(now - beat.at)) };
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  #alive(node: KnownNode | undefined): KnownNode | undefined {
    return node !== undefined && this.#clock.elapsed() - node.beatAt < node.beat.ttlMs ? node : undefined;
  }

  #entryOf(node: NodeId): Entry {
    const entry = this.#entries.get(node);
    if (entry !== undefined) return entry;
    if (this.#entries.size >= MESH.maxDirectory) {
      const [oldest] = this.#entries;
      if (oldest !== undefined) this.#forget(oldest[0], oldest[1].beat?.value.sequence);
    }
    const fresh: Entry = { since: this.#clock.elapsed(), profile: undefined, beat: undefined };
    this.#entries.set(node, fresh);
    return fresh;
  }

  #forget(node: NodeId, sequence: number | undefined): void {
    const entry = this.#entries.get(node);
    const was = entry === undefined ? undefined : known(node, entry);
    this.#entries.delete(node);
    this.#models.replace(node, entry?.profile?.value.models ?? [], []);
    // A node that was only named has no beat to guard against, and takes no earlier guard away.
    if (sequence !== undefined) {
      this.#gone.delete(node);
      this.#gone.set(node, sequence);
    }
    const oldest = this.#gone.size > MESH.maxTombstones ? this.#gone.keys().next().value : undefined;
    if (oldest !== undefined) this.#gone.delete(oldest);
    if (was !== undefined) this.#emit({ type: 'node-gone', node });
  }

  #tell(node: NodeId, before: KnownNode | undefined, entry: Entry): void {
    const now = known(node, entry);
    if (now !== undefined) this.#emit({ type: before === undefined ? 'node-joined' : 'node-changed', node: now });
  }
}

function known(node: NodeId, { profile, beat }: Entry): KnownNode | undefined {
  if (profile === undefined || beat === undefined) return undefined;
  return { node, profile: profile.value, beat: beat.value, beatAt: beat.at };
}

/** What is malformed, forged or of another mesh is rejected: no honest node sends it here. */
function judged(ingest: () => Verdict): Verdict {
  try {
    return ingest();
  } catch (thrown) {
    const error = toGoGridError(thrown);
    if (error.code === 'internal') throw thrown;
    return 'reject';
  }
}
