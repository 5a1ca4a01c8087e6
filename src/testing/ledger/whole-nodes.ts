/** A few nodes with all that writes into a ledger, put together as `node/ledger.ts` does it, joined in memory, on a clock of the test. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { GoGridError } from '../../errors.ts';
import { isAttestationSigned, readAttestation } from '../../ledger/entries/attestation.ts';
import type { AccountId, LedgerMesh } from '../../ledger/entries/entry.ts';
import { isEntrySigned, readEntry } from '../../ledger/entries/entry-codec.ts';
import { type Codec, Ingest } from '../../ledger/intake/ingest.ts';
import { WitnessAsker } from '../../ledger/own/asking.ts';
import { Author } from '../../ledger/own/author.ts';
import { Booking } from '../../ledger/own/booking.ts';
import { Exposure } from '../../ledger/own/exposure.ts';
import { LoneRelease } from '../../ledger/own/lone-release.ts';
import { Vouchers } from '../../ledger/own/vouchers.ts';
import type { LedgerLink, WitnessLink } from '../../ledger/ports.ts';
import { Hints, hintsOf } from '../../ledger/sync/hints.ts';
import { Serve } from '../../ledger/sync/serve.ts';
import { Sync } from '../../ledger/sync/sync.ts';
import { Witness } from '../../ledger/witness/witness.ts';
import { type NodeId, nodeIdOf } from '../../protocol/ids.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { account } from './authors.ts';
import { MemoryLedgerStore } from './memory-store.ts';

/** Checks signatures here and now: a thread beside would take its time of a clock that the test has not. */
const CODEC: Codec = { readEntry, isEntrySigned, readAttestation, isAttestationSigned };

export interface WholeNodeOptions {
  /** Its key was made at this start. Default false. */
  readonly fresh?: boolean;
  readonly store?: MemoryLedgerStore;
  /** Microcredits; default 100. */
  readonly cap?: bigint;
  readonly requireFinal?: boolean;
  /** Books and takes back nothing by itself. Default false. */
  readonly idle?: boolean;
}

export interface WholeNode {
  readonly name: string;
  readonly id: NodeId;
  readonly self: AccountId;
  readonly store: MemoryLedgerStore;
  readonly ingest: Ingest;
  readonly sync: Sync;
  readonly author: Author;
  readonly witness: Witness | undefined;
  readonly vouchers: Vouchers;
  readonly exposure: Exposure;
  readonly serve: Serve;
  readonly link: LedgerLink;
  /** In the order in which they end. */
  readonly parts: readonly { stop(): Promise<void> | void }[];
}

export class WholeNodes {
  readonly mesh: LedgerMesh;
  readonly clock = new VirtualClock();
  readonly nodes: WholeNode[] = [];
  readonly #loneReleaseMs: number;
  /** Pairs that do not reach each other. */
  readonly #cut = new Set<string>();
  #drawn = 1;

  constructor(mesh: LedgerMesh, { loneReleaseMs = 7 * 86_400_000 } = {}) {
    this.mesh = mesh;
    this.#loneReleaseMs = loneReleaseMs;
  }

  /** Starts the node of an account, and tells everybody that it is there. */
  async start(name: string, options: WholeNodeOptions = {}): Promise<WholeNode> {
    const { fresh = false, store = new MemoryLedgerStore(), cap = 100n, requireFinal = false, idle = false } = options;
    const { mesh, clock } = this;
    const isFresh = async () => fresh;
    const loneReleaseMs = this.#loneReleaseMs;
    const { id: self, signer } = account(name);
    const id = nodeIdOf(signer.publicKey);
    const log = silentLogger;
    const random = () => this.#random();
    const ingest = await Ingest.load({ mesh }, { store, clock, log, codec: CODEC, pause: () => nextTurn() });
    const { notes } = store;
    const link = this.#linkOf(id);
    const sync = new Sync({ mesh }, { ingest, store, link, clock, random, log });
    const hints = new Hints({ ingest, link, clock });
    const again = (entry: { readonly sealed: Uint8Array }) => {
      for (const hint of hintsOf([entry.sealed], [])) link.publish(hint);
    };
    const author = new Author(
      { mesh, self, isFresh },
      { signer, ingest, store, link, heads: sync, again, clock, random, log },
    );
    const witness = mesh.witnesses.includes(self)
      ? new Witness({ mesh, self, isFresh, loneReleaseMs }, { signer, ingest, store, link, sync, clock, log })
      : undefined;
    const witnessLink = this.#witnessLinkOf(id);
    const ownWitness: WitnessLink | undefined = witness && { ask: (_node, ask) => witness.answer(ask) };
    const vouchers = await Vouchers.load({ mesh, self }, { signer, ingest, notes, clock });
    const exposure = await Exposure.load({ mesh, self, capMicrocredits: cap, requireFinal }, { ingest, store, clock });
    const asker = new WitnessAsker({ mesh, self }, { ingest, witness: witnessLink, clock });
    const booking = new Booking({ self, loneReleaseMs }, { author, ingest, exposure, vouchers, clock, log });
    const loneRelease = new LoneRelease(
      { mesh, self, loneReleaseMs },
      { author, ingest, store, vouchers, witness: witnessLink, ...(ownWitness && { ownWitness }), clock, log },
    );
    hints.start();
    sync.start();
    await author.start();
    await witness?.start();
    asker.start();
    if (!idle) {
      booking.start();
      loneRelease.start();
    }
    const parts = [
      loneRelease,
      booking,
      asker,
      ...(witness === undefined ? [] : [witness]),
      author,
      hints,
      sync,
      ingest,
    ];
    const serve = new Serve({ mesh }, { ingest, store, pause: () => nextTurn() });
    const node: WholeNode = {
      name,
      id,
      self,
      store,
      ingest,
      sync,
      author,
      witness,
      vouchers,
      exposure,
      serve,
      link,
      parts,
    };
    this.nodes.push(node);
    this.#tell();
    this.#introduce(node);
    return node;
  }

  /** Ends in order. */
  async stop(node: WholeNode): Promise<void> {
    for (const part of node.parts) await part.stop();
    this.#forget(node);
  }

  /** The machine dies. @param kept see `MemoryLedgerStore.crash` @returns its disk, as the next start finds it */
  crash(node: WholeNode, kept = 0): MemoryLedgerStore {
    const store = node.store.crash(kept);
    // What still runs of it waits for a disk that never answers, and nobody hears it.
    this.#forget(node);
    for (const part of node.parts) void part.stop();
    return store;
  }

  cut(a: WholeNode, b: WholeNode): void {
    this.#cut.add(`${a.id} ${b.id}`).add(`${b.id} ${a.id}`);
    this.#tell();
  }

  heal(): void {
    this.#cut.clear();
    this.#tell();
    for (const node of this.nodes) this.#introduce(node);
  }

  /** Lets time pass until it holds. @throws Error when it does not within `maxMs` */
  async until(holds: () => boolean, maxMs = 60_000): Promise<void> {
    const end = this.clock.elapsed() + maxMs;
    while (!holds()) {
      if (this.clock.elapsed() >= end) throw new Error(`it did not come to hold within ${maxMs} ms: ${holds}`);
      await this.clock.advance(20);
    }
  }

  #introduce(node: WholeNode): void {
    for (const other of this.nodes) {
      if (!this.#reaches(other.id, node.id)) continue;
      other.sync.onPeer(node.id);
      node.sync.onPeer(other.id);
    }
  }

  #forget(node: WholeNode): void {
    this.nodes.splice(this.nodes.indexOf(node), 1);
    this.#tell();
  }

  #tell(): void {
    for (const { author, witness } of this.nodes) {
      author.peersChanged();
      witness?.peersChanged();
    }
  }

  #reaches(a: NodeId, b: NodeId): boolean {
    return a !== b && !this.#cut.has(`${a} ${b}`) && this.nodes.some(({ id }) => id === a);
  }

  /** The same numbers in every run, and not always the same one. */
  #random(): number {
    this.#drawn = (this.#drawn * 1_103_515_245 + 12_345) % 2 ** 31;
    return this.#drawn / 2 ** 31;
  }

  #find(self: NodeId, peer: NodeId): WholeNode {
    const node = this.#reaches(self, peer) ? this.nodes.find(({ id }) => id === peer) : undefined;
    if (node === undefined) throw new GoGridError({ code: 'peer_unreachable', message: 'it is not there' });
    return node;
  }

  #linkOf(self: NodeId): LedgerLink {
    return {
      peers: () => this.nodes.map(({ id }) => id).filter((id) => this.#reaches(self, id)),
      open: async (peer) => {
        this.#find(self, peer);
        return { ask: async (request) => this.#find(self, peer).serve.answer(request), close: () => {} };
      },
      publish: (hint) => {
        for (const { id } of this.nodes) {
          if (!this.#reaches(self, id)) continue;
          this.clock.after(1, () => this.nodes.find((node) => node.id === id)?.ingest.takeHint(hint, self));
        }
      },
      onViolation: (peer, message) => {
        throw new Error(`${peer} is said to break the protocol: ${message}`);
      },
    };
  }

  #witnessLinkOf(self: NodeId): WitnessLink {
    return {
      ask: async (peer, ask) => {
        const { witness } = this.#find(self, peer);
        if (witness === undefined) throw new GoGridError({ code: 'peer_unreachable', message: 'it is no witness' });
        return witness.answer(ask);
      },
    };
  }
}
