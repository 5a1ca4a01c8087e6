import { cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConfig } from '../config/resolve.ts';
import { sealEntry } from '../ledger/entries/entry-codec.ts';
import { hexOf } from '../ledger/entries/fields.ts';
import { OwnNotes } from '../ledger/own/own-notes.ts';
import { type HomePaths, locateHome, prepareHome } from '../storage/home.ts';
import { createMesh } from '../storage/network-file.ts';
import { silentLogger } from '../telemetry/logger.ts';
import type { NodeDeps } from './deps.ts';
import { openLedger } from './ledger.ts';
import { openStores } from './stores.ts';

let folder = '';
let home: HomePaths;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-ledger-'));
  const hints = { env: {}, platform: process.platform, userFolder: '/', workingFolder: '/' };
  home = locateHome({ ...hints, home: path.join(folder, 'home') });
  await createMesh(home, { name: 'home', genesisMicrocredits: 100n, terms: {}, createdAt: Date.now() });
  await prepareHome(home);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

type Opened = NonNullable<Awaited<ReturnType<typeof openLedger>>>;
type Stores = Awaited<ReturnType<typeof openStores>>;

/** A start of the founder's node, as far as its ledger is opened. @returns up to where nobody knows what was promised */
async function start(use?: (opened: Opened, stores: Stores) => Promise<void>): Promise<number | undefined> {
  const deps = { home, logger: silentLogger, descriptorFile: undefined } as NodeDeps;
  const stores = await openStores(deps);
  try {
    const opened = await openLedger(resolveConfig({}).config, deps, stores);
    if (opened === undefined) throw new Error('there is a ledger');
    await use?.(opened, stores);
    await opened.ingest.stop();
    return await new OwnNotes(opened.self, opened.store.notes).restoredUpTo();
  } finally {
    await stores.close();
  }
}

async function hold({ mesh, ingest }: Opened, { signer }: Stores): Promise<void> {
  const legs = [{ payee: hexOf(new Uint8Array(32).fill(9)), max: 10n }];
  const place = { sequence: 0, previous: hexOf(mesh.networkId), timestamp: Date.now() };
  await ingest.own(sealEntry(mesh, signer, { ...place, body: { kind: 'hold', legs } }));
}

describe('a backup of the data folder that was made after a hold, and before its vouchers', () => {
  it('is noticed when it is put back, and stays so', async () => {
    await start(hold);
    const backup = path.join(folder, 'backup');
    await cp(home.dataFolder, backup, { recursive: true, preserveTimestamps: true });
    expect(await start()).toBeUndefined();
    await rm(home.dataFolder, { recursive: true });
    await rename(backup, home.dataFolder);
    expect(await start()).toBe(0);
    expect(await start()).toBe(0);
  });
});
