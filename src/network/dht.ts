/**
 * The DHT: who serves a model, for a node whose directory does not know. A record says only that somebody served it once
 * (they stand for two days), so every hit is confirmed by asking the node itself.
 */

import { createHash } from 'node:crypto';
import type { KadDHT } from '@libp2p/kad-dht';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import type { Clock, Timer } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Dialer } from './dial.ts';
import type { Directory } from './ports.ts';
import type { StateExchange } from './state.ts';

/** Multicodec `raw`, multihash `sha2-256`. */
const RAW = 0x55;
const SHA2_256 = 0x12;

/** The key under which providers of a model stand. @param model canonical name */
export function modelKey(model: string): CID {
  return CID.createV1(RAW, createDigest(SHA2_256, createHash('sha256').update(`model:${model}`).digest()));
}

export interface ProviderRecordsDeps {
  readonly dht: KadDHT;
  readonly self: NodeId;
  /** Whether this side works with a node: of all others no word is taken, and none is dialed. */
  readonly accepts: (node: NodeId) => boolean;
  readonly dialer: Pick<Dialer, 'reach'>;
  readonly state: Pick<StateExchange, 'ask'>;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ProviderRecords {
  readonly #deps: ProviderRecordsDeps;
  readonly #stop = new AbortController();
  #models: ReadonlySet<string> = new Set();
  /** Models of which records stand with `#placedAmong` peers. */
  #placed = new Set<string>();
  #placedAmong = 0;
  #peers = 0;
  #due: Timer | undefined;
  #placing = false;
  /** Rounds in a row in which a record could not be placed. */
  #failures = 0;

  constructor(deps: ProviderRecordsDeps) {
    this.#deps = deps;
  }

  stop(): void {
    this.#stop.abort();
    this.#due?.cancel();
  }

  /** The models this node serves now. Records of others are not renewed, and run out. */
  provide(models: readonly string[]): void {
    this.#models = new Set(models.slice(0, MESH.maxModelsPerProfile));
    this.#schedule(MESH.dhtSettleMs);
  }

  onAdmitted(): void {
    this.#peers++;
    // Records belong with the nodes closest to their key: among many more nodes those are others.
    if (this.#peers < 2 * this.#placedAmong) return;
    this.#placed.clear();
    this.#schedule(MESH.dhtSettleMs);
  }

  onLeft(): void {
    this.#peers--;
  }

  /**
   * Looks for providers until some are confirmed, `MESH.dhtFindMs` are over, or nobody is left to ask.
   * @returns how many nodes said themselves that they serve the model; never rejects
   */
  async find(model: string, signal: AbortSignal): Promise<number> {
    const bounded = AbortSignal.any([signal, this.#stop.signal, AbortSignal.timeout(MESH.dhtFindMs)]);
    const seen = new Set<NodeId>([this.#deps.self]);
    try {
      for await (const event of this.#deps.dht.findProviders(modelKey(model), { signal: bounded })) {
        if (event.name !== 'PROVIDER') continue;
        const hits = event.providers
          .map(({ id, multiaddrs }) => ({ node: id.toString(), addresses: multiaddrs.map(String) }))
          .filter(({ node }) => !seen.has(node) && this.#deps.accepts(node))
          .slice(0, MESH.dhtMaxProviders);
        for (const { node } of hits) seen.add(node);
        const answers = await Promise.all(hits.map((hit) => this.#confirm(hit.node, hit.addresses, model, bounded)));
        const confirmed = answers.filter(Boolean).length;
        if (confirmed > 0) return confirmed;
        if (seen.size > MESH.dhtMaxProviders) break;
      }
    } catch {
      // Time is over, or nobody answered: what was confirmed has been returned above.
    }
    return 0;
  }

  async #confirm(node: NodeId, addresses: string[], model: string, signal: AbortSignal): Promise<boolean> {
    const { dialer, state, directory, log } = this.#deps;
    const serves = () => directory.get(node)?.profile.models.some(({ name }) => name === model) === true;
    if (serves()) return true;
    try {
      const connection = await dialer.reach(node, signal, addresses);
      await state.ask(connection, 'self', signal);
      return serves();
    } catch {
      log.debug({ node }, 'a provider in the DHT did not answer');
      return false;
    }
  }

  #schedule(ms: number): void {
    if (this.#stop.signal.aborted || this.#due !== undefined || this.#placing) return;
    this.#due = this.#deps.clock.after(ms, () => {
      this.#due = undefined;
      void this.#place();
    });
  }

  /** One after the other: a node with hundreds of models must not flood the mesh at its start. */
  async #place(): Promise<void> {
    this.#placing = true;
    const among = this.#peers;
    let failed = 0;
    for (const gone of [...this.#placed].filter((model) => !this.#models.has(model))) {
      this.#placed.delete(gone);
      await this.#deps.dht.cancelReprovide(modelKey(gone)).catch(() => {});
    }
    for (const model of this.#models) {
      if (this.#placed.has(model) || among === 0) continue;
      if (await this.#placeOne(model)) this.#placed.add(model);
      else failed++;
      if (this.#stop.signal.aborted) return;
    }
    this.#placedAmong = among;
    this.#placing = false;
    const left = [...this.#models].some((model) => !this.#placed.has(model));
    this.#failures = failed > 0 ? this.#failures + 1 : 0;
    if (failed > 0) this.#schedule(Math.min(MESH.dhtRetryMs, MESH.dhtSettleMs * 2 ** this.#failures));
    else if (left && this.#peers > 0) this.#schedule(MESH.dhtSettleMs);
  }

  async #placeOne(model: string): Promise<boolean> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(MESH.dhtProvideMs)]);
    let takers = 0;
    try {
      for await (const event of this.#deps.dht.provide(modelKey(model), { signal })) {
        if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') takers++;
      }
    } catch {
      // Time is over: those who took it have it.
    }
    // The DHT may know of nobody yet when its first peer has just come, and provides to nobody without a word.
    if (takers === 0) this.#deps.log.debug({ model }, 'the DHT did not take a record');
    return takers > 0;
  }
}
