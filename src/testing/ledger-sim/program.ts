/** The program of a simulated node: the real ledger and its flows, put together as `node/ledger.ts` does it. */

import { isAttestationSigned, readAttestation } from '../../ledger/entries/attestation.ts';
import type { Attestation, Entry, EntryName, LedgerMesh } from '../../ledger/entries/entry.ts';
import { isEntrySigned, readEntry } from '../../ledger/entries/entry-codec.ts';
import { type Codec, Ingest, type News } from '../../ledger/intake/ingest.ts';
import { WitnessAsker } from '../../ledger/own/asking.ts';
import { Author } from '../../ledger/own/author.ts';
import { Booking } from '../../ledger/own/booking.ts';
import { Exposure } from '../../ledger/own/exposure.ts';
import { LoneRelease } from '../../ledger/own/lone-release.ts';
import { Vouchers } from '../../ledger/own/vouchers.ts';
import type { LedgerStore, WitnessLink } from '../../ledger/ports.ts';
import { Hints, hintsOf } from '../../ledger/sync/hints.ts';
import { Serve } from '../../ledger/sync/serve.ts';
import { Sync } from '../../ledger/sync/sync.ts';
import { Witness } from '../../ledger/witness/witness.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { WitnessAnswer, WitnessAsk } from '../../protocol/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { idOf } from '../sim/keys.ts';
import type { Process } from '../sim/process.ts';
import { type Random, randomOf } from '../sim/random.ts';
import type { World } from '../sim/world.ts';
import { accountIdOf, accountSigner } from './accounts.ts';
import { Liar } from './liar.ts';
import type { Host, SimMesh } from './mesh.ts';
import type { Plan } from './plan.ts';
import type { Wallet } from './users.ts';

export interface ProgramParts {
  readonly world: World;
  readonly plan: Plan;
  readonly mesh: LedgerMesh;
  readonly links: SimMesh;
  readonly codec: Codec;
  /** Somebody who reads along what a node takes in. */
  readonly taken: (entries: readonly Entry[], forks: News['forks']) => void;
  /** An account has found where its log ends. */
  readonly ready: (account: number, head: EntryName | undefined) => void;
}

/** The program of a node while it runs. */
export interface Program {
  readonly host: Host;
  readonly ingest: Ingest;
  /** By index of the account: the honest ones that live here. */
  readonly wallets: ReadonlyMap<number, Wallet>;
  /** Ends in order: what it is writing is written. */
  stop(): Promise<void>;
}

/** The machine on which a program runs. */
export interface Machine {
  readonly place: number;
  /** Whose key and accounts it has. */
  readonly key: number;
  readonly disk: { readonly store: LedgerStore };
}

/** One run of a node. */
interface Run extends ProgramParts {
  readonly node: Machine;
  readonly process: Process;
  /** It has never run before. */
  readonly isFresh: boolean;
  readonly ingest: Ingest;
  readonly random: Random;
  readonly log: Logger;
  readonly link: ReturnType<SimMesh['linkOf']>;
  readonly witnessLink: WitnessLink;
  readonly sync: Sync;
  /** What it answers as a witness. */
  readonly answer: WitnessAnswerer;
  /** Told when peers come or go. */
  readonly onPeers: (() => void)[];
  /** What ends it, in the order in which it began. */
  readonly stops: (() => Promise<void> | void)[];
}

type WitnessAnswerer = (ask: WitnessAsk) => Promise<WitnessAnswer>;

export async function buildProgram(
  node: Machine,
  process: Process,
  isFresh: boolean,
  parts: ProgramParts,
): Promise<Program> {
  const { world, plan, mesh, links, codec, taken } = parts;
  const { clock } = process;
  const { store } = node.disk;
  const log = loggerOf(world, node.place);
  const random = randomOf(plan.seed, `node ${node.place} at ${world.now}`);
  const ingest = await Ingest.load({ mesh }, { store, clock, log, pause: () => Promise.resolve(), codec });
  ingest.onTaken(({ entries, forks }) => taken(entries, forks));
  let host: Host | undefined;
  const attached = () => host;
  const link = links.linkOf(attached, (peer, why) => blame(world, plan, node.place, peer, why));
  const witnessLink: WitnessLink = { ask: (peer, ask, signal) => links.askWitness(attached, peer, ask, signal) };
  const sync = new Sync({ mesh }, { ingest, store, link, clock, log, random: () => random.next() });
  const hints = new Hints({ ingest, link, clock });
  const serve = new Serve({ mesh }, { ingest, store, pause: () => Promise.resolve() });
  const begun = { ...parts, node, process, isFresh, ingest, random, log, link, witnessLink, sync };
  const stops: Run['stops'] = [() => ingest.stop(), () => hints.stop(), () => sync.stop()];
  const onPeers: Run['onPeers'] = [];
  hints.start();
  sync.start();
  const answer = await startWitness({ ...begun, onPeers, stops });
  const run: Run = { ...begun, answer, onPeers, stops };
  const wallets = new Map<number, Wallet>();
  for (const [account, { home, cheats }] of plan.accounts.entries()) {
    if (home === node.key && !cheats) wallets.set(account, await openWallet(account, run));
  }
  host = {
    place: node.place,
    id: idOf(node.key),
    process,
    onHint: (bytes, from) => ingest.takeHint(bytes, from),
    onEntries: (entries, from) => void ingest.take({ entries }, from),
    onAsk: (ask) => serve.answer(ask),
    onWitnessAsk: answer,
    onPeer: (peer) => sync.onPeer(peer),
    peersChanged: () => {
      for (const tell of run.onPeers) tell();
    },
  };
  return {
    host,
    ingest,
    wallets,
    async stop() {
      for (const stop of stops.toReversed()) await stop();
    },
  };
}

/** One account in the hands of the program. */
async function openWallet(account: number, run: Run): Promise<Wallet> {
  const { plan, mesh, node, process, isFresh, ingest, random, log, link, witnessLink, sync } = run;
  const { clock } = process;
  const { store } = node.disk;
  const self = accountIdOf(account);
  const signer = accountSigner(account);
  const { loneReleaseMs } = plan;
  const { requireFinal = false } = plan.nodes[node.key] ?? {};
  const capMicrocredits = BigInt(plan.capMicrocredits);
  const vouchers = await Vouchers.load({ mesh, self }, { signer, ingest, notes: store.notes, clock });
  const exposure = await Exposure.load({ mesh, self, capMicrocredits, requireFinal }, { ingest, store, clock });
  const again = ({ sealed }: Entry) => {
    for (const hint of hintsOf([sealed], [])) link.publish(hint);
  };
  const author = new Author(
    { mesh, self, isFresh: async () => isFresh },
    { signer, ingest, store, link, heads: sync, again, clock, random: () => random.next(), log },
  );
  author.onState(() => {
    if (author.state().state === 'ready') run.ready(account, author.head());
  });
  await author.start();
  const ownWitness = { ask: (_node: NodeId, ask: WitnessAsk) => run.answer(ask) };
  const asker = new WitnessAsker({ mesh, self }, { ingest, witness: witnessLink, clock });
  const booking = new Booking({ self, loneReleaseMs }, { author, ingest, exposure, vouchers, clock, log });
  const loneRelease = new LoneRelease(
    { mesh, self, loneReleaseMs },
    {
      author,
      ingest,
      store,
      vouchers,
      witness: witnessLink,
      ...(plan.witnesses.includes(node.key) && { ownWitness }),
      clock,
      log,
    },
  );
  for (const part of [asker, booking, loneRelease]) part.start();
  run.onPeers.push(() => author.peersChanged());
  for (const part of [author, asker, booking, loneRelease]) run.stops.push(() => part.stop());
  return { account, process, author, vouchers };
}

/** @returns how it answers who asks it as a witness */
async function startWitness(run: Omit<Run, 'answer'>): Promise<WitnessAnswerer> {
  const { plan, mesh, links, node, process, isFresh, ingest, random, log, link, sync } = run;
  const { key, place } = node;
  if (!plan.witnesses.includes(key)) return () => Promise.resolve({ type: 'attestations', attestations: [] });
  if (plan.liars.includes(key)) {
    const liar = new Liar({ place, plan, mesh, links, random });
    ingest.onTaken((news) => liar.hears(news));
    return (ask) => liar.answer(ask);
  }
  const { store } = node.disk;
  const witness = new Witness(
    { mesh, self: accountIdOf(key), isFresh: async () => isFresh, loneReleaseMs: plan.loneReleaseMs },
    { signer: accountSigner(key), ingest, store, link, sync, clock: process.clock, log },
  );
  await witness.start();
  run.onPeers.push(() => witness.peersChanged());
  run.stops.push(() => witness.stop());
  return (ask) => witness.answer(ask);
}

/** A node says that a peer sent what no honest node sends: only of those who are not honest. */
function blame(world: World, plan: Plan, place: number, peer: NodeId, why: string): void {
  world.count('peers blamed');
  const honest = plan.nodes.findIndex((_, index) => idOf(index) === peer);
  if (honest < 0 || plan.liars.includes(honest)) return;
  world.violate('blames-nobody-honest', `n${honest}: ${why}`, place);
}

/** A defect of the real code is a violation like any other. */
function loggerOf(world: World, place: number): Logger {
  const nothing = () => {};
  const note = (how: string, fields: object, message: string) => {
    const { error, ...rest } = fields as { error?: { code?: string; message?: string; stack?: string } };
    world.note(place, undefined, `${how}: ${message} ${error?.message ?? ''} ${JSON.stringify(rest)}`);
    if (error?.code === 'internal') world.violate('no-defect', `${message}: ${error.stack}`, place);
  };
  const logger: Logger = {
    trace: nothing,
    debug: nothing,
    info: nothing,
    warn: (fields, message) => note('warns', fields, message),
    error: (fields, message) => note('errs', fields, message),
    child: () => logger,
  };
  return logger;
}

/** Reads and checks each signed thing once in a history, whoever asks. */
export function codecOnce(): Codec {
  const signed = new WeakMap<Entry | Attestation, boolean>();
  const remember = (value: Entry | Attestation, check: () => boolean) => {
    const stands = signed.get(value) ?? check();
    signed.set(value, stands);
    return stands;
  };
  return {
    readEntry: once(readEntry),
    readAttestation: once(readAttestation),
    isEntrySigned: (entry, mesh) => remember(entry, () => isEntrySigned(entry, mesh)),
    isAttestationSigned: (attestation) => remember(attestation, () => isAttestationSigned(attestation)),
  };
}

function once<T>(read: (bytes: Uint8Array, mesh: LedgerMesh) => T) {
  const known = new Map<string, T>();
  return (bytes: Uint8Array, mesh: LedgerMesh): T => {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    const value = known.get(key) ?? read(bytes, mesh);
    known.set(key, value);
    return value;
  };
}
