/** The real ledger of one node, on a disk in memory and without peers: for tests of what people see of it. */

import { EventRing } from '../api/events.ts';
import { systemClock } from '../clock.ts';
import type { Attestation, Entry, LedgerMesh } from '../ledger/entries/entry.ts';
import { fromHex } from '../ledger/entries/fields.ts';
import { accountText } from '../ledger/entries/readable.ts';
import { Ingest } from '../ledger/intake/ingest.ts';
import { meshOf } from '../ledger/mesh.ts';
import { Author } from '../ledger/own/author.ts';
import { MovedNotes } from '../ledger/own/moved-notes.ts';
import { Vouchers } from '../ledger/own/vouchers.ts';
import type { Witness } from '../ledger/witness/witness.ts';
import { buildCredits, type NodeCredits } from '../node/credits.ts';
import { createDescriptor, type NetworkDescriptor } from '../protocol/descriptor.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { account, FOUNDER, witnessNames } from './ledger/authors.ts';
import { MemoryLedgerStore } from './ledger/memory-store.ts';

export interface SmallLedger {
  readonly mesh: LedgerMesh;
  readonly descriptor: NetworkDescriptor;
  readonly store: MemoryLedgerStore;
  readonly ingest: Ingest;
  readonly author: Author;
  readonly vouchers: Vouchers;
  readonly events: EventRing;
  /** The ports of the API. */
  readonly credits: NodeCredits['credits'];
  readonly ledger: NodeCredits['ledger'];
  /** What peers send, in this order. */
  take(...items: readonly (Entry | Attestation)[]): Promise<void>;
  stop(): Promise<void>;
}

export interface SmallLedgerOptions {
  /** Whose node it is: a name for `account`. */
  readonly self?: string;
  readonly witnesses?: number;
  /** The witness that this node is. */
  readonly witness?: Pick<Witness, 'state'>;
  /** Microcredits. */
  readonly genesis?: bigint;
  /** A disk that was used before. */
  readonly store?: MemoryLedgerStore;
  /** Names of machines by PeerId. */
  readonly names?: ReadonlyMap<string, string>;
}

export async function smallLedger(options: SmallLedgerOptions = {}): Promise<SmallLedger> {
  const { self = 'A', witnesses = 4, genesis = 1_000_000_000n, store = new MemoryLedgerStore(), names } = options;
  const { id, signer } = account(self);
  const descriptor = createDescriptor(
    { name: 'home', genesisMicrocredits: genesis, createdAt: 1_763_707_725_000 },
    { witnesses: witnessNames(witnesses).map((name) => fromHex(account(name).id)) },
    account(FOUNDER).signer,
  );
  const mesh = meshOf(descriptor);
  const clock = systemClock;
  const log = silentLogger;
  const pause = () => new Promise<void>((resolve) => setImmediate(resolve));
  const moved = new MovedNotes(id, store.notes);
  const onFinal = (entry: Entry, amount: bigint) => moved.final(entry, amount);
  const ingest = await Ingest.load({ mesh }, { store, clock, log, pause, onFinal });
  const vouchers = await Vouchers.load({ mesh, self: id }, { ingest, notes: store.notes, signer, clock });
  const author = new Author(
    { mesh, self: id, isFresh: async () => true },
    {
      signer,
      ingest,
      store,
      link: { peers: () => [] },
      heads: { head: async () => [] },
      clock,
      random: () => 0.5,
      again: () => {},
      log,
    },
  );
  await author.start();
  const events = new EventRing('test', clock);
  const built = buildCredits(
    { self: id, mesh, ingest, store, author, witness: options.witness, vouchers, moved, log },
    {
      clock,
      descriptor: () => descriptor,
      nameOf: (node) => names?.get(node) ?? '',
      isConnected: () => false,
      isInSight: () => false,
      publish: (event) => events.publish(event),
      pause,
    },
  );
  built.start();
  return {
    mesh,
    descriptor,
    store,
    ingest,
    author,
    vouchers,
    events,
    credits: built.credits,
    ledger: built.ledger,
    async take(...items) {
      const from = accountText(account('a peer').id);
      for (const item of items) {
        const page = 'body' in item ? { entries: [item.sealed] } : { attestations: [item.sealed] };
        await ingest.take(page, from);
      }
    },
    async stop() {
      await built.stop();
      await author.stop();
      await ingest.stop();
      await moved.flushed();
    },
  };
}
