/**
 * The ledger of this node, put together. Opened before the network, which hands to it what others send; joined to the network when
 * that is built; started when it is up. In a mesh without credits there is none.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/settings.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import type { AccountId, Entry } from '../ledger/entries/entry.ts';
import { accountOf } from '../ledger/entries/fields.ts';
import { Ingest } from '../ledger/intake/ingest.ts';
import { meshOf } from '../ledger/mesh.ts';
import { WitnessAsker } from '../ledger/own/asking.ts';
import { Author } from '../ledger/own/author.ts';
import { Booking } from '../ledger/own/booking.ts';
import { Exposure } from '../ledger/own/exposure.ts';
import { LoneRelease } from '../ledger/own/lone-release.ts';
import { MovedNotes } from '../ledger/own/moved-notes.ts';
import { noteRestored, type RestoredDeps } from '../ledger/own/restored.ts';
import { Vouchers } from '../ledger/own/vouchers.ts';
import type { WitnessLink } from '../ledger/ports.ts';
import { Hints, hintsOf } from '../ledger/sync/hints.ts';
import { Serve } from '../ledger/sync/serve.ts';
import { Sync } from '../ledger/sync/sync.ts';
import { Witness } from '../ledger/witness/witness.ts';
import type { Network } from '../network/network.ts';
import type { LedgerHandlers, NetworkEvent } from '../network/ports.ts';
import { readDataMark } from '../storage/data-mark.ts';
import { LevelLedgerStore } from '../storage/ledger-store.ts';
import type { Logger } from '../telemetry/logger.ts';
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
  const { networkId } = mesh;
  await noticeCopy(self, { folder: deps.home.dataFolder, networkId, ledger: ingest.ledger, store, log });
  const { stranger_cap_microcredits: cap, require_final: requireFinal } = config.credits;
  const exposure = await Exposure.load(
    { mesh, self, capMicrocredits: BigInt(cap), requireFinal },
    { ingest, store, clock },
  );
  const vouchers = await Vouchers.load({ mesh, self }, { signer: stores.signer, ingest, notes, clock });
  const loneReleaseMs = config.credits.lone_release_secs * 1000;
  return { mesh, self, loneReleaseMs, store, ingest, exposure, vouchers, moved, log };
}

interface CopyDeps extends RestoredDeps {
  /** That of the database. */
  readonly folder: string;
  readonly networkId: Uint8Array;
  readonly log: Logger;
}

/** What a copy finds must be on the disk before it counts as the folder that it is from then on. */
async function noticeCopy(self: AccountId, { folder, networkId, ledger, store, log }: CopyDeps): Promise<void> {
  const mark = await readDataMark(folder, networkId, store.notes);
  if (mark.isCopy) {
    await noteRestored(self, { ledger, store });
    log.warn({}, 'the data folder was copied or put back: no rest of a hold in it is taken back without its payee');
  }
  // The mark before is still good: a disk that is full must not end the start.
  await mark.renew().catch((thrown: unknown) => {
    log.warn({ error: toGoGridError(thrown) }, 'the data folder got no new mark');
  });
}

export type OpenLedger = NonNullable<Awaited<ReturnType<typeof openLedger>>>;

/** What the network hands to the ledger; the parts that answer are there once it is joined to the network. */
export function ledgerHandlers(ledger: OpenLedger, witness: () => Witness | undefined): LedgerHandlers {
  const { mesh, self, ingest, store } = ledger;
  const serve = new Serve({ mesh }, { ingest, store, pause: () => turn(undefined) });
  return {
    onHint: (bytes, from) => ingest.takeHint(bytes, from),
    answer: (ask) => serve.answer(ask),
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

/** What writes into the ledger and what keeps it up with others, joined to the network. */
function partsOf(opened: OpenLedger, { signer, takeNewKey }: Stores, network: Network) {
  const { mesh, self, loneReleaseMs, store, ingest, exposure, vouchers, log } = opened;
  const { ledger: link, witness: witnessLink } = network;
  const random = Math.random;
  let fresh: Promise<boolean> | undefined;
  const isFresh = () => {
    fresh ??= takeNewKey();
    return fresh;
  };
  const hints = new Hints({ ingest, link, clock });
  const sync = new Sync({ mesh }, { ingest, store, link, clock, random, log });
  const again = ({ sealed }: Entry) => {
    for (const hint of hintsOf([sealed], [])) link.publish(hint);
  };
  const author = new Author(
    { mesh, self, isFresh },
    { signer, ingest, store, link, heads: sync, again, clock, random, log },
  );
  const witness = mesh.witnesses.includes(self)
    ? new Witness({ mesh, self, isFresh, loneReleaseMs }, { signer, ingest, store, link, sync, clock, log })
    : undefined;
  const ownWitness: Pick<WitnessLink, 'ask'> | undefined = witness && { ask: (_node, ask) => witness.answer(ask) };
  const asker = new WitnessAsker({ mesh, self }, { ingest, witness: witnessLink, clock });
  const booking = new Booking({ self, loneReleaseMs }, { author, ingest, exposure, vouchers, clock, log });
  const loneRelease = new LoneRelease(
    { mesh, self, loneReleaseMs },
    { author, ingest, store, vouchers, witness: witnessLink, ...(ownWitness && { ownWitness }), clock, log },
  );
  return { hints, sync, author, witness, asker, booking, loneRelease };
}

/** The ledger of a node that is joined to the network: its parts, started and stopped together. */
export function buildLedger(opened: OpenLedger, stores: Stores, network: Network) {
  const { hints, sync, author, witness, asker, booking, loneRelease } = partsOf(opened, stores, network);
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
      await opened.ingest.stop();
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
