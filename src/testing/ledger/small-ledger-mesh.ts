/** A few ledgers in one process, joined by sessions in memory: the real ingest, sync, hints and serve of each. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, systemClock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { isAttestationSigned, readAttestation } from '../../ledger/entries/attestation.ts';
import type { LedgerMesh } from '../../ledger/entries/entry.ts';
import { isEntrySigned, readEntry } from '../../ledger/entries/entry-codec.ts';
import { type Codec, Ingest } from '../../ledger/intake/ingest.ts';
import type { LedgerLink, LedgerStore } from '../../ledger/ports.ts';
import { Hints } from '../../ledger/sync/hints.ts';
import { Serve } from '../../ledger/sync/serve.ts';
import { Sync } from '../../ledger/sync/sync.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { type LedgerAnswer, type LedgerAsk, ledgerAnswer, ledgerAsk } from '../../protocol/ledger.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { MemoryLedgerStore } from './memory-store.ts';

/** Checks everything in its turn: for tests whose clock does not wait for other threads. */
export const IN_TURN: Codec = { readEntry, readAttestation, isEntrySigned, isAttestationSigned };

/** Takes every signature for one that stands: histories of tests are not signed. */
export const TRUSTING: Codec = {
  readEntry,
  readAttestation,
  isEntrySigned: () => true,
  isAttestationSigned: () => true,
};

/** Answers a question in place of an honest node; undefined answers nothing at all. */
export type Answering = (ask: LedgerAsk, from: NodeId) => Promise<LedgerAnswer | undefined>;

export interface SmallLedgerNode {
  readonly id: NodeId;
  readonly ingest: Ingest;
  readonly store: LedgerStore;
  readonly serve: Serve;
  readonly sync: Sync;
  readonly hints: Hints;
  /** What peers did that no honest node does: `[peer, message]`. */
  readonly violations: (readonly [NodeId, string])[];
  /** Questions it asked, and bytes of the answers. */
  readonly traffic: { asks: number; bytes: number };
}

export class SmallLedgerMesh {
  readonly mesh: LedgerMesh;
  readonly nodes: SmallLedgerNode[] = [];
  readonly #clock: Clock;
  readonly #codec: Codec | undefined;
  readonly #liars = new Map<NodeId, Answering>();
  /** Pairs that do not reach each other. */
  readonly #cut = new Set<string>();

  constructor(mesh: LedgerMesh, { clock = systemClock, codec }: { clock?: Clock; codec?: Codec } = {}) {
    this.#codec = codec;
    this.mesh = mesh;
    this.#clock = clock;
  }

  async add(id: NodeId, store: LedgerStore = new MemoryLedgerStore()): Promise<SmallLedgerNode> {
    const clock = this.#clock;
    const ingest = await Ingest.load(
      { mesh: this.mesh },
      { store, clock, log: silentLogger, pause: () => nextTurn(), ...(this.#codec && { codec: this.#codec }) },
    );
    const violations: SmallLedgerNode['violations'] = [];
    const traffic = { asks: 0, bytes: 0 };
    const link = this.#link(id, violations, traffic);
    const serve = new Serve({ mesh: this.mesh }, { ingest, store, pause: () => nextTurn() });
    const sync = new Sync({ mesh: this.mesh }, { ingest, store, link, clock, random: () => 0.5, log: silentLogger });
    const hints = new Hints({ ingest, link, clock });
    const node = { id, ingest, store, serve, sync, hints, violations, traffic };
    this.nodes.push(node);
    return node;
  }

  /** A peer that answers as it likes. */
  addLiar(id: NodeId, answering: Answering): void {
    this.#liars.set(id, answering);
  }

  cut(a: NodeId, b: NodeId): void {
    this.#cut.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Every node syncs with every other until a whole round brings nothing. */
  async agree(maxRounds = 10): Promise<void> {
    for (let round = 0; round < maxRounds; round++) {
      let taken = 0;
      for (const node of this.nodes) {
        for (const peer of this.nodes) {
          if (peer === node || this.#cut.has(`${node.id} ${peer.id}`)) continue;
          const result = await node.sync.with(peer.id);
          if (result.failed !== undefined) throw result.failed;
          taken += result.taken;
        }
      }
      if (taken === 0) return;
    }
    throw new Error(`no agreement after ${maxRounds} rounds`);
  }

  #link(self: NodeId, violations: SmallLedgerNode['violations'], traffic: SmallLedgerNode['traffic']): LedgerLink {
    const reaches = (peer: NodeId) => peer !== self && !this.#cut.has(`${self} ${peer}`);
    return {
      peers: () => [...this.nodes.map(({ id }) => id), ...this.#liars.keys()].filter(reaches),
      open: async (peer) => {
        const isThere = this.#liars.has(peer) || this.nodes.some(({ id }) => id === peer);
        if (!isThere || !reaches(peer)) throw new GoGridError({ code: 'peer_unreachable', message: 'cut off' });
        let last: Promise<unknown> = Promise.resolve();
        return {
          ask: (request) => {
            const answer = last.then(() => this.#ask(self, peer, request, traffic));
            last = answer.catch(() => {});
            return answer;
          },
          close: () => {},
        };
      },
      publish: (hint) => {
        for (const node of this.nodes) if (reaches(node.id)) node.ingest.takeHint(hint, self);
      },
      onViolation: (peer, message) => violations.push([peer, message]),
    };
  }

  /** Question and answer go through their bytes and schemas, as over the network. */
  async #ask(
    self: NodeId,
    peer: NodeId,
    request: LedgerAsk,
    traffic: SmallLedgerNode['traffic'],
  ): Promise<LedgerAnswer> {
    const ask = ledgerAsk.parse(decode(encode(request), 'a question'));
    const liar = this.#liars.get(peer);
    const node = this.nodes.find(({ id }) => id === peer);
    const answer = await (liar?.(ask, self) ?? node?.serve.answer(ask));
    if (answer === undefined) return new Promise(() => {});
    const bytes = encode(answer);
    traffic.asks++;
    traffic.bytes += bytes.length;
    return ledgerAnswer.parse(decode(bytes, 'an answer'));
  }
}
