/**
 * Records in the DHT, of two kinds: who serves a model, and who has jobs for it that wait. A record says only that it was so
 * when it was placed: others keep it for two days and nobody can take it back, so whoever finds one asks the node itself.
 */

import { createHash } from 'node:crypto';
import type { KadDHT } from '@libp2p/kad-dht';
import type { Multiaddr } from '@multiformats/multiaddr';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import type { Clock, Timer } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Multicodec `raw`, multihash `sha2-256`. */
const RAW = 0x55;
const SHA2_256 = 0x12;

export type RecordKind = 'model' | 'work';

/** The key under which nodes stand for a model. @param model canonical name */
export function recordKey(kind: RecordKind, model: string): CID {
  return CID.createV1(RAW, createDigest(SHA2_256, createHash('sha256').update(`${kind}:${model}`).digest()));
}

export interface DhtRecordsOptions {
  readonly kind: RecordKind;
  readonly self: NodeId;
  /** Milliseconds for which a model is named before its record is placed: what passes sooner costs nothing. */
  readonly settleMs: number;
  /** Milliseconds after which a record is placed again while its model is named; undefined leaves that to the DHT. */
  readonly renewMs: number | undefined;
}

export interface DhtRecordsDeps {
  readonly dht: Pick<KadDHT, 'provide' | 'findProviders' | 'cancelReprovide'>;
  /** Whether this side works with a node: of all others no word is taken. */
  readonly accepts: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A node that stands under a key, not yet asked whether that is still so. */
export interface RecordHit {
  readonly node: NodeId;
  /** Texts of multiaddrs, as it gave them: not all of them can be read again. */
  readonly addresses: readonly string[];
}

export class DhtRecords {
  readonly #options: DhtRecordsOptions;
  readonly #deps: DhtRecordsDeps;
  readonly #stop = new AbortController();
  /** The models to stand for, and `Clock.elapsed()` since when. */
  #named = new Map<string, number>();
  /** `Clock.elapsed()` when a record was last placed, with `#placedAmong` peers. */
  readonly #placed = new Map<string, number>();
  #placedAmong = 0;
  #peers = 0;
  #due: { readonly at: number; readonly timer: Timer } | undefined;
  #placing = false;
  /** Rounds in a row in which a record could not be placed, and when the next one may begin. */
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(options: DhtRecordsOptions, deps: DhtRecordsDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  stop(): void {
    this.#stop.abort();
    this.#due?.timer.cancel();
  }

  /** The models this node stands for from now on. Records of others are not renewed, and run out. */
  provide(models: readonly string[]): void {
    const now = this.#deps.clock.elapsed();
    const before = this.#named;
    this.#named = new Map(models.map((model) => [model, before.get(model) ?? now]));
    for (const [model, placedAt] of this.#placed) {
      if (this.#named.has(model) || placedAt + (this.#options.renewMs ?? 0) > now) continue;
      this.#placed.delete(model);
      void this.#leaveToRunOut(model);
    }
    this.#schedule();
  }

  onAdmitted(): void {
    this.#peers++;
    // Records belong with the nodes closest to their key: among many more nodes those are others.
    if (this.#peers >= 2 * this.#placedAmong) {
      this.#placed.clear();
      this.#notBefore = this.#deps.clock.elapsed() + this.#options.settleMs;
    }
    this.#schedule();
  }

  onLeft(): void {
    this.#peers--;
  }

  /**
   * Walks through the DHT for nodes that stand for a model, and gives them as it finds them: until `MESH.dhtMaxProviders`
   * were found, `MESH.dhtFindMs` are over, or nobody is left to ask. Never throws.
   * @param skip nodes that need not be found again
   */
  async *find(model: string, signal: AbortSignal, skip?: (node: NodeId) => boolean): AsyncGenerator<RecordHit[]> {
    const { dht, accepts } = this.#deps;
    const { kind, self } = this.#options;
    const bounded = AbortSignal.any([signal, this.#stop.signal, AbortSignal.timeout(MESH.dhtFindMs)]);
    const seen = new Set<NodeId>([self]);
    try {
      for await (const event of dht.findProviders(recordKey(kind, model), { signal: bounded })) {
        if (event.name !== 'PROVIDER') continue;
        const hits = event.providers
          .map(({ id, multiaddrs }) => ({ node: id.toString(), addresses: multiaddrs.flatMap(toText) }))
          .filter(({ node }) => !seen.has(node) && accepts(node) && skip?.(node) !== true)
          .slice(0, MESH.dhtMaxProviders);
        for (const { node } of hits) seen.add(node);
        if (hits.length > 0) yield hits;
        if (seen.size > MESH.dhtMaxProviders) return;
      }
    } catch {
      // Time is over, or nobody answered: what was found has been given.
    }
  }

  /** `Clock.elapsed()` at which the record of a model is to be placed. */
  #dueAt(model: string, namedAt: number): number {
    const placedAt = this.#placed.get(model);
    if (placedAt === undefined) return namedAt + this.#options.settleMs;
    return placedAt + (this.#options.renewMs ?? Number.POSITIVE_INFINITY);
  }

  /** The next round is when the first record is due; without peers there is nobody to place it with. */
  #schedule(): void {
    if (this.#stop.signal.aborted || this.#placing || this.#peers <= 0) return;
    const { clock } = this.#deps;
    const first = Math.min(...[...this.#named].map(([model, namedAt]) => this.#dueAt(model, namedAt)));
    const at = Math.max(first, this.#notBefore);
    if (at === Number.POSITIVE_INFINITY || (this.#due !== undefined && this.#due.at <= at)) return;
    this.#due?.timer.cancel();
    const timer = clock.after(Math.max(0, at - clock.elapsed()), () => {
      this.#due = undefined;
      void this.#place();
    });
    this.#due = { at, timer };
  }

  /** One after the other: a node with hundreds of models must not flood the mesh at its start. */
  async #place(): Promise<void> {
    const { clock } = this.#deps;
    const { settleMs } = this.#options;
    this.#placing = true;
    const among = this.#peers;
    let failed = false;
    for (const [model, namedAt] of this.#named) {
      if (this.#dueAt(model, namedAt) > clock.elapsed() || !this.#named.has(model)) continue;
      if (await this.#placeOne(model)) this.#placed.set(model, clock.elapsed());
      else failed = true;
      if (this.#stop.signal.aborted) return;
      if (this.#options.renewMs !== undefined || !this.#named.has(model)) await this.#leaveToRunOut(model);
    }
    this.#placedAmong = among;
    this.#placing = false;
    this.#failures = failed ? this.#failures + 1 : 0;
    if (failed) this.#notBefore = clock.elapsed() + Math.min(MESH.dhtRetryMs, settleMs * 2 ** this.#failures);
    this.#schedule();
  }

  async #placeOne(model: string): Promise<boolean> {
    const { dht, log } = this.#deps;
    const { kind } = this.#options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(MESH.dhtProvideMs)]);
    let takers = 0;
    try {
      for await (const event of dht.provide(recordKey(kind, model), { signal })) {
        if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') takers++;
      }
    } catch {
      // Time is over: those who took it have it.
    }
    // The DHT may know of nobody yet when its first peer has just come, and provides to nobody without a word.
    if (takers === 0) log.debug({ kind, model }, 'the DHT did not take a record');
    return takers > 0;
  }

  /** The DHT renews what stands in this node's own store, day after day: it is taken out. */
  async #leaveToRunOut(model: string): Promise<void> {
    await this.#deps.dht.cancelReprovide(recordKey(this.#options.kind, model)).catch(() => {});
  }
}

/** Whoever places a record chooses the bytes of its addresses, and some have no text. */
function toText(address: Multiaddr): string[] {
  try {
    return [address.toString()];
  } catch {
    return [];
  }
}
