/** An empty node joins a mesh whose founder's node has a long ledger, and fetches all of it: two processes, real streams. */

import type { LedgerHead } from '../../src/contract/credits.ts';
import type { NetworkDescriptor } from '../../src/protocol/descriptor.ts';
import { locateHome } from '../../src/storage/home.ts';
import { saveDescriptor } from '../../src/storage/network-file.ts';
import { joining, type MeasuredNode, startNode } from './nodes.ts';
import { inOwnNetwork, loopbackTraffic } from './own-network.ts';
import { cpuMs, memoryMiB, newFolder, sleep } from './processes.ts';
import type { Figure } from './report.ts';

/** Five times the target: then something is wrong. */
const LIMIT_MS = 100_000;
const ASK_EVERY_MS = 100;

export interface Synced {
  readonly figures: readonly Figure[];
  readonly row: Readonly<Record<string, unknown>>;
}

export interface SyncOptions {
  readonly program: string;
  readonly descriptor: NetworkDescriptor;
  /** The founder's home, with the ledger in its database. */
  readonly founderHome: string;
  readonly entries: number;
}

export function homeAt(folder: string) {
  return locateHome({ home: folder, env: {}, platform: process.platform, userFolder: folder, workingFolder: folder });
}

export async function measureSync({ program, descriptor, founderHome, entries }: SyncOptions): Promise<Synced> {
  const founder = await startNode(program, {}, founderHome);
  const home = newFolder('home');
  await saveDescriptor(homeAt(home), descriptor);
  const before = { traffic: inOwnNetwork() ? loopbackTraffic() : undefined, founderMs: cpuMs(founder.pid) };
  const joiner = await startNode(program, joining(founder), home);
  const doneMs = await whenEqual(founder, joiner, entries);
  const after = before.traffic && loopbackTraffic();
  const seconds = (doneMs - joiner.startedAt - joiner.readyMs) / 1_000;
  const megabytes = before.traffic && after ? (after.bytes - before.traffic.bytes) / 1e6 : undefined;
  const row = {
    shape: 'an empty node joins',
    entries,
    secondsFromReady: seconds,
    entriesPerSecond: entries / seconds,
    megabytes,
    bytesPerEntry: megabytes && (megabytes * 1e6) / entries,
    cpuSecondsOfTheEmptyNode: cpuMs(joiner.pid) / 1_000,
    cpuSecondsOfTheOther: (cpuMs(founder.pid) - before.founderMs) / 1_000,
    memoryOfTheEmptyNodeMiB: memoryMiB(joiner.pid).rss,
  };
  await joiner.stop();
  await founder.stop();
  const what = `an empty node fetches ${entries.toLocaleString('en')} entries`;
  const figures: Figure[] = [
    { what, value: seconds, unit: 's', target: 'at most 20', met: seconds <= 20 },
    ...(megabytes === undefined ? [] : [{ what: 'traffic of that, both ways', value: megabytes, unit: 'MB' }]),
  ];
  return { figures, row };
}

/** @returns `performance.now()` when both hold the same, all of it @throws Error when they do not in time */
async function whenEqual(founder: MeasuredNode, joiner: MeasuredNode, entries: number): Promise<number> {
  const { digest, entries: held } = (await founder.get('/ledger/head')) as LedgerHead;
  if (held !== entries) throw new Error(`the founder's node holds ${held} of ${entries} entries`);
  let there = 0;
  for (const end = performance.now() + LIMIT_MS; performance.now() < end; await sleep(ASK_EVERY_MS)) {
    const head = (await joiner.get('/ledger/head')) as LedgerHead;
    there = head.entries;
    if (head.digest === digest) return performance.now();
  }
  throw new Error(`after ${LIMIT_MS / 1_000} s the empty node holds ${there} of ${entries} entries`);
}
