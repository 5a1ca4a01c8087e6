/**
 * The ledger of this node, put together. Opened before the network, which hands to it what others send; joined to the network when
 * that is built; started when it is up. In a mesh without credits there is none.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/settings.ts';
import { GoGridError } from '../errors.ts';
import { accountOf } from '../ledger/entries/fields.ts';
import { Ingest } from '../ledger/intake/ingest.ts';
import { meshOf } from '../ledger/mesh.ts';
import { WitnessAsker } from '../ledger/own/asking.ts';
import { Author } from '../ledger/own/author.ts';
import { Booking } from '../ledger/own/booking.ts';
import { Exposure } from '../ledger/own/exposure.ts';
import { LoneRelease } from '../ledger/own/lone-release.ts';
import { MovedNotes } from '../ledger/own/moved-notes.ts';
import { Vouchers } from '../ledger/own/vouchers.ts';
import type { WitnessLink } from '../ledger/ports.ts';
import { Hints, hintsOf } from '../ledger/sync/hints.ts';
import { Serve } from '../ledger/sync/serve.ts';
import { Sync } from '../ledger/sync/sync.ts';
import { Witness } from '../ledger/witness/witness.ts';
import type { Network } from '../network/network.ts';
import type { LedgerHandlers, NetworkEvent } from '../network/ports.ts';
import { LevelLedgerStore } from '../storage/ledger-store.ts';
import type { NodeDeps } from './deps.ts';
import type { Stores } from './stores.ts';

/** Reads the ledger of this mesh from the disk. @returns undefined in a mesh without credits @throws GoGridError `damaged`, … */
export async function openLedger(config: Config, deps: NodeDeps, stores: Stores) {
  const mesh = meshOf(stores.descriptor.current);
  if (mesh.genesis === 0n) return undefined;
  const log = deps.logger.child({ part: 'ledger' });
  const self = accountOf(stores.signer.publicKey);
  const store = new LevelLedgerStore(stores.database, stores.networkId, log);
  const { notes } = store;
  const pause = () => turn(undefined);
  const moved = new MovedNotes(self, notes);
  const ingest = await Ingest.load(
    { mesh },
    { store, clock, log, pause, onFinal: (entry, amount) => moved.final(entry, amount) },
  );
  const { stranger_cap_microcredits: cap, require_final: requireFinal } = config.credits;
  const exposure = await Exposure.load({ self, capMicrocredits: BigInt(cap), requireFinal }, { ingest, notes, clock });
  const vouchers = await Vouchers.load({ mesh, self }, { signer: stores.signer, ingest, notes, clock });
  const loneReleaseMs = config.credits.lone_release_secs * 1000;
  return { mesh, self, fresh: stores.isNewKey, loneReleaseMs, store, ingest, exposure, vouchers, moved, log };
}

export type OpenLedger = NonNullable<Awaited<ReturnType<typeof openLedger>>>;

/** What the network hands to the ledger; the parts that answer are there once it is joined to the network. */
export function ledgerHandlers(ledger: OpenLedger, witness: () => Witness | undefined): LedgerHandlers {
  const { mesh, self, ingest, store } = ledger;
  const serve = new Serve({ mesh }, { ingest, store });
  return {
    onHint: (bytes, from) => ingest.takeHint(bytes, from),
    answer: (ask, from) => serve.answer(ask, from),
    ...(mesh.witnesses.includes(self) && {
      attest: async (ask) => {
        const there = witness();
        if (there === undefined) {
          throw new GoGridError({ code: 'ledger_not_ready', message: 'this witness is not up yet' });
        }
        return there.answer(ask);
      },
    }),
  };
}

/** Everything that writes into the ledger, joined to the network. */
export function buildLedger(opened: OpenLedger, stores: Stores, network: Network) {
  const { mesh, self, fresh, loneReleaseMs, store, ingest, exposure, vouchers, log } = opened;
  const { signer } = stores;
  const { ledger: link, witness: witnessLink } = network;
  const random = Math.random;
  const hints = new Hints({ ingest, link, clock });
  const sync = new Sync({ mesh }, { ingest, store, link, clock, random, log });
  const author = new Author(
    { mesh, self, fresh },
    {
      signer,
      ingest,
      store,
      link,
      heads: sync,
      again: (entry) => {
        for (const hint of hintsOf([entry.sealed], [])) link.publish(hint);
      },
      clock,
      random,
      log,
    },
  );
  const witness = mesh.witnesses.includes(self)
    ? new Witness({ mesh, self, fresh, loneReleaseMs }, { signer, ingest, store, link, sync, clock, log })
    : undefined;
  const ownWitness: Pick<WitnessLink, 'ask'> | undefined = witness && { ask: (_node, ask) => witness.answer(ask) };
  const asker = new WitnessAsker({ mesh, self }, { ingest, witness: witnessLink, clock });
  const booking = new Booking({ self, loneReleaseMs }, { author, ingest, store, exposure, vouchers, clock, log });
  const loneRelease = new LoneRelease(
    { mesh, self, loneReleaseMs },
    {
      author,
      ingest,
      store,
      vouchers,
      witness: witnessLink,
      ...(ownWitness !== undefined && { ownWitness }),
      clock,
      log,
    },
  );
  const stops: (() => Promise<void> | void)[] = [];
  return {
    ...opened,
    author,
    witness,
    sync,
    booking,
    /** Peers are connected from here on. @throws GoGridError `damaged`, `home_unusable` */
    async start(): Promise<void> {
      hints.start();
      stops.push(() => hints.stop());
      sync.start();
      stops.push(() => sync.stop());
      stops.push(() => author.stop());
      await author.start();
      if (witness !== undefined) {
        stops.push(() => witness.stop());
        await witness.start();
      }
      asker.start();
      stops.push(() => asker.stop());
      booking.start();
      stops.push(() => booking.stop());
      loneRelease.start();
      stops.push(() => loneRelease.stop());
    },
    /** Waits for what this node is writing; what others send is still taken until `close`. */
    async stop(): Promise<void> {
      for (const stop of stops.splice(0).reverse()) await stop();
    },
    /** When nobody sends anything any more, and before the database closes. */
    async close(): Promise<void> {
      await ingest.stop();
      await opened.moved.flushed();
    },
    onNetworkEvent({ type, node }: NetworkEvent): void {
      if (type !== 'peer-admitted' && type !== 'peer-left') return;
      if (type === 'peer-admitted') sync.onPeer(node);
      author.peersChanged();
      witness?.peersChanged();
    },
  };
}

export type NodeLedger = ReturnType<typeof buildLedger>;
