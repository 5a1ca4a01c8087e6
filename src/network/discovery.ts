/**
 * What this node tells the DHT and asks of it: providers of a model, each asked whether it still is one; and coordinators
 * with jobs that wait, which are asked for work instead.
 */

import { peerIdFromString } from '@libp2p/peer-id';
import type { Clock } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { DhtRecords, type RecordHit } from './dht.ts';
import { type Dialer, toTarget } from './dial.ts';
import { HeardWork } from './heard-work.ts';
import type { Host } from './libp2p.ts';
import type { Directory } from './ports.ts';
import type { StateExchange } from './state.ts';

export interface DiscoveryDeps {
  readonly host: Host;
  readonly self: NodeId;
  /** Whether this side works with a node: of all others no word is taken, and none is dialed. */
  readonly accepts: (node: NodeId) => boolean;
  readonly dialer: Pick<Dialer, 'reach'>;
  readonly state: Pick<StateExchange, 'ask'>;
  readonly directory: Directory;
  /** A node says that jobs wait there for a model that this one serves. */
  readonly onWorkAdvertised: (node: NodeId) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Discovery {
  readonly #deps: DiscoveryDeps;
  readonly #providers: DhtRecords;
  readonly #work: DhtRecords;
  readonly #heardWork: HeardWork;

  constructor(deps: DiscoveryDeps) {
    this.#deps = deps;
    const { host, self, accepts, clock, log } = deps;
    const { dht } = host.services;
    const parts = { dht, accepts, clock, log };
    this.#providers = new DhtRecords({ kind: 'model', self, settleMs: MESH.dhtSettleMs, renewMs: undefined }, parts);
    const { workSettleMs: settleMs, workRenewMs: renewMs } = MESH;
    this.#work = new DhtRecords({ kind: 'work', self, settleMs, renewMs }, parts);
    this.#heardWork = new HeardWork({ self, heard: deps.onWorkAdvertised });
  }

  stop(): void {
    this.#providers.stop();
    this.#work.stop();
  }

  onAdmitted(): void {
    this.#providers.onAdmitted();
    this.#work.onAdmitted();
  }

  onLeft(): void {
    this.#providers.onLeft();
    this.#work.onLeft();
  }

  /** A record was put into the DHT's store, under this key of it. */
  onRecord(storeKey: string): void {
    this.#heardWork.onRecord(storeKey);
  }

  /** The models this node serves now. */
  provide(models: readonly string[]): void {
    const served = models.slice(0, MESH.maxModelsPerProfile);
    this.#heardWork.serves(served);
    this.#providers.provide(served);
  }

  /** The models for which jobs wait here now. */
  advertiseWork(models: readonly string[]): void {
    this.#work.provide(models.slice(0, MESH.maxWorkModels));
  }

  /**
   * Looks for providers until some are confirmed, `MESH.dhtFindMs` are over, or nobody is left to ask.
   * @returns how many nodes said themselves that they serve the model; never rejects
   */
  async findProviders(model: string, signal: AbortSignal): Promise<number> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(MESH.dhtFindMs)]);
    for await (const hits of this.#providers.find(model, bounded)) {
      const answers = await Promise.all(hits.map((hit) => this.#confirm(hit, model, bounded)));
      const confirmed = answers.filter(Boolean).length;
      if (confirmed > 0) return confirmed;
    }
    return 0;
  }

  /**
   * The first coordinators that the DHT names for a model; libp2p remembers their addresses. Never rejects.
   * @param skip coordinators that need not be named
   */
  async findWork(model: string, signal: AbortSignal, skip: (node: NodeId) => boolean): Promise<NodeId[]> {
    const { peerStore } = this.#deps.host;
    for await (const hits of this.#work.find(model, signal, skip)) {
      for (const { node, addresses } of hits) {
        const targets = addresses.flatMap((address) => toTarget(address, node));
        const multiaddrs = targets.slice(0, MESH.maxAddressesPerProfile);
        try {
          await peerStore.merge(peerIdFromString(node), { multiaddrs });
        } catch {
          // Without them it may still be connected, or in the directory.
        }
      }
      return hits.map(({ node }) => node);
    }
    return [];
  }

  async #confirm({ node, addresses }: RecordHit, model: string, signal: AbortSignal): Promise<boolean> {
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
}
