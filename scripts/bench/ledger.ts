/** P8: what the ledger adds to the check of a signature, what it takes on the disk, and how fast an empty node catches up. */

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as pause } from 'node:timers/promises';
import { systemClock } from '../../src/clock.ts';
import type { LedgerMesh } from '../../src/ledger/entries/entry.ts';
import { fromHex, wireNameOf } from '../../src/ledger/entries/fields.ts';
import { Ingest } from '../../src/ledger/intake/ingest.ts';
import { meshOf as ledgerMeshOf } from '../../src/ledger/mesh.ts';
import { decode, encode } from '../../src/protocol/cbor.ts';
import { createDescriptor, type NetworkDescriptor } from '../../src/protocol/descriptor.ts';
import { signedBytes } from '../../src/protocol/envelope.ts';
import { type Signer, signerFromSeed } from '../../src/protocol/signature.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { prepareHome } from '../../src/storage/home.ts';
import { loadIdentity } from '../../src/storage/key-file.ts';
import { LevelLedgerStore } from '../../src/storage/ledger-store.ts';
import { saveDescriptor } from '../../src/storage/network-file.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { quantile } from './client.ts';
import { type History, makeHistory, type Step } from './ledger-history.ts';
import { homeAt, measureSync } from './ledger-sync.ts';
import { newFolder } from './processes.ts';
import type { Benchmark, Figure, Outcome } from './report.ts';

const ENTRIES = 100_000;
/** The first is for the compiler to warm up, and is left out. */
const SLICES = 41;
/** As many as come in one answer of a sync. */
const PAGE = 500;
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

export const ledger: Benchmark = {
  name: 'ledger',
  title: `P8: the ledger, ${ENTRIES.toLocaleString('en')} entries`,
  countsTraffic: true,
  async run({ scale, program }) {
    const founderHome = newFolder('home');
    const { descriptor, founder } = await foundMesh(founderHome);
    const history = makeHistory(ledgerMeshOf(descriptor), founder, Math.ceil(ENTRIES * scale));
    const { dataFolder } = homeAt(founderHome);
    const live = await measureLive(history, dataFolder);
    const load = await measureLoad(history, dataFolder);
    const synced = await measureSync({ program, descriptor, founderHome, entries: history.steps.length });
    return {
      figures: [...live.figures, ...synced.figures, ...load],
      rows: [live.row, synced.row],
      notes: NOTES,
    };
  },
};

const NOTES = [
  `Of six entries two are claims, whose voucher is a second signature; the one witness attests every entry, which is a third.
Bare is node:crypto's \`verify\` over the same bytes with keys that are imported already; the two take turns, a fortieth of the
history each. The ledger's time is until all is in its books, final, and handed to the database. It checks signatures on
libuv's threads, bare on one, so only CPU time compares the two without the number of cores.`.replaceAll('\n', ' '),
  `The empty node's time counts from its \`ready\` line, and ends when its digest is that of the other one. It asks for the
attestations of claims and of the newest entry of each account only: these make everything final.`.replaceAll(
    '\n',
    ' ',
  ),
];

async function foundMesh(folder: string): Promise<{ descriptor: NetworkDescriptor; founder: Signer }> {
  const home = homeAt(folder);
  await prepareHome(home);
  const founder = signerFromSeed((await loadIdentity(home)).value);
  const core = { name: 'bench', genesisMicrocredits: 10n ** 15n, createdAt: Date.now() };
  const descriptor = createDescriptor(core, {}, founder);
  await saveDescriptor(home, descriptor);
  return { descriptor, founder };
}

/* ---- entries as they come from peers ---- */

async function measureLive(
  { mesh, steps }: History,
  folder: string,
): Promise<Outcome & { row: Record<string, unknown> }> {
  const database = await openDatabase(folder);
  const store = new LevelLedgerStore(database, mesh.networkId, silentLogger);
  const ingest = await Ingest.load({ mesh }, { store, clock: systemClock, log: silentLogger, pause: () => pause() });
  const slices = Array.from({ length: SLICES }, (_, i) =>
    steps.slice(Math.floor((i * steps.length) / SLICES), Math.floor(((i + 1) * steps.length) / SLICES)),
  );
  const readings: { signatures: number; bareUs: number; ledgerUs: number; bareCpuUs: number; ledgerCpuUs: number }[] =
    [];
  for (const [round, slice] of slices.entries()) {
    const checks = slice.flatMap((step) => signaturesOf(mesh, step));
    const bare = await timed(() => verifyAll(checks));
    const ours = await timed(() => takeAll(ingest, slice, `peer ${round}`));
    readings.push({
      signatures: checks.length,
      bareUs: bare.us / checks.length,
      ledgerUs: ours.us / checks.length,
      bareCpuUs: bare.cpuUs / checks.length,
      ledgerCpuUs: ours.cpuUs / checks.length,
    });
  }
  const { entries } = ingest.ledger.counts();
  if (entries !== steps.length) throw new Error(`the ledger has ${entries} of ${steps.length} entries`);
  await ingest.stop();
  await database.close();
  const bytes = sizeOf(folder);

  const kept = readings.slice(1);
  const median = (of: (reading: (typeof kept)[number]) => number) => quantile(kept.map(of), 0.5);
  const rate = median(({ bareUs, ledgerUs }) => bareUs / ledgerUs);
  const cpuRate = median(({ bareCpuUs, ledgerCpuUs }) => bareCpuUs / ledgerCpuUs);
  const row = {
    shape: 'from peers, page by page',
    entries: steps.length,
    signatures: readings.reduce((sum, { signatures }) => sum + signatures, 0),
    bareMicros: median(({ bareUs }) => bareUs),
    ledgerMicros: median(({ ledgerUs }) => ledgerUs),
    bareCpuMicros: median(({ bareCpuUs }) => bareCpuUs),
    ledgerCpuMicros: median(({ ledgerCpuUs }) => ledgerCpuUs),
    bytesOnDiskPerEntry: bytes / steps.length,
  };
  const figures: Figure[] = [
    {
      what: 'verified, counted and stored signatures a second, against bare verify',
      value: rate,
      unit: '×',
      target: 'at least 0.75',
      met: rate >= 0.75,
    },
    {
      what: 'the same by CPU time, all threads',
      value: cpuRate,
      unit: '×',
      target: 'at least 0.75',
      met: cpuRate >= 0.75,
    },
    {
      what: 'on the disk per 100,000 entries, with an attestation of each',
      value: (bytes / steps.length) * 0.1,
      unit: 'MB',
    },
  ];
  return { figures, rows: [row], row };
}

interface Check {
  readonly key: KeyObject;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

const keys = new Map<string, KeyObject>();

function keyOf(account: string): KeyObject {
  const known = keys.get(account);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: Buffer.concat([SPKI, fromHex(account)]), format: 'der', type: 'spki' });
  keys.set(account, key);
  return key;
}

/** All that the ledger has to verify for one step, as node:crypto wants it. */
function signaturesOf({ networkId }: LedgerMesh, { entry, attestation }: Step): Check[] {
  const [payload, signature] = decode(entry.sealed, 'x') as [Uint8Array, Uint8Array];
  const [, said, attested] = decode(attestation.sealed, 'x') as [Uint8Array, Uint8Array, Uint8Array];
  const checks: Check[] = [
    { key: keyOf(entry.author), bytes: signedBytes('entry', payload), signature },
    { key: keyOf(attestation.witness), bytes: signedBytes('attestation', said), signature: attested },
  ];
  if (entry.body.kind === 'claim') {
    const { hold, leg, cumulative, receiptHash, voucherSignature } = entry.body;
    const promise = encode([networkId, wireNameOf(hold), leg, cumulative, receiptHash]);
    checks.push({ key: keyOf(hold.author), bytes: signedBytes('voucher', promise), signature: voucherSignature });
  }
  return checks;
}

function verifyAll(checks: readonly Check[]): void {
  for (const { key, bytes, signature } of checks) {
    if (!verify(null, bytes, key, signature)) throw new Error('a signature of the benchmark does not stand');
  }
}

async function takeAll(ingest: Ingest, steps: readonly Step[], from: string): Promise<void> {
  for (let at = 0; at < steps.length; at += PAGE) {
    const page = steps.slice(at, at + PAGE);
    const entries = page.map(({ entry }) => entry.sealed);
    await ingest.take({ entries, attestations: page.map(({ attestation }) => attestation.sealed) }, from);
  }
  await ingest.flushed();
}

/* ---- a start with a full disk ---- */

async function measureLoad({ mesh, steps }: History, folder: string): Promise<Figure[]> {
  const database = await openDatabase(folder);
  const store = new LevelLedgerStore(database, mesh.networkId, silentLogger);
  const before = performance.now();
  const ingest = await Ingest.load({ mesh }, { store, clock: systemClock, log: silentLogger, pause: () => pause() });
  const ms = performance.now() - before;
  const { entries } = ingest.ledger.counts();
  if (entries !== steps.length) throw new Error(`after a start the ledger has ${entries} of ${steps.length} entries`);
  await ingest.stop();
  await database.close();
  return [{ what: 'a start with all of them on the disk, until the ledger is there', value: ms, unit: 'ms' }];
}

/* ---- measuring ---- */

async function timed(work: () => unknown): Promise<{ us: number; cpuUs: number }> {
  const cpu = process.cpuUsage();
  const before = performance.now();
  await work();
  const us = (performance.now() - before) * 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { us, cpuUs: user + system };
}

function sizeOf(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
}
