/**
 * Writes its own log, entry after entry, each durable before the next is signed, and says so, a line of JSON each: a process
 * of its own, for tests that kill it. Beside it other things are written that nobody waits for, as in a node.
 */

import type { Entry } from '../../ledger/entries/entry.ts';
import { openEntry } from '../../ledger/entries/entry-codec.ts';
import { openDatabase } from '../../storage/database.ts';
import { LevelLedgerStore } from '../../storage/ledger-store.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { account, attest, meshOf, Writer } from './authors.ts';

/** What the process says. */
export type WritingLine =
  | { readonly said: 'found'; readonly sequence: number }
  | { readonly said: 'durable'; readonly sequence: number; readonly id: string }
  | { readonly said: 'failed'; readonly code: string };

const { folder, stopAfter = Number.POSITIVE_INFINITY } = JSON.parse(process.argv[2] ?? '') as {
  folder: string;
  /** Entries. */
  stopAfter?: number;
};
const say = (line: WritingLine) => process.stdout.write(`${JSON.stringify(line)}\n`);
const sayFailed = (thrown: unknown) => say({ said: 'failed', code: String((thrown as { code?: unknown }).code) });
const mesh = meshOf();
const database = await openDatabase(folder);
const store = new LevelLedgerStore(database, mesh.networkId, silentLogger);

async function tipOnDisk(): Promise<Entry | undefined> {
  let last: Entry | undefined;
  for await (const { sealed } of store.chain(account('A').id, 0)) last = openEntry(sealed, mesh, { trusted: true });
  return last;
}

let tip = await tipOnDisk();
say({ said: 'found', sequence: tip?.sequence ?? -1 });
const other = new Writer(mesh, 'B', { signed: false });
const ballast = new Uint8Array(20_000).map((_, n) => (n * n) >> 3);
/** A write has failed: what it held may be on the disk all the same. */
let unsure = false;
for (let n = 0; n < stopAfter; n++) {
  try {
    await store.notes.put([[`mine/${n % 50}`, ballast.subarray(0, 100)]]);
    if (unsure) tip = await tipOnDisk();
    unsure = false;
    const entry = new Writer(mesh, 'A', { behind: tip }).transfer('B', 1n, `entry ${n}`);
    store.write({ entries: [other.transfer('A', 1n)], snapshot: ballast }, false).catch(sayFailed);
    await store.write({ entries: [entry], attestations: [attest(mesh, 'W1', entry, false, false)] }, true);
    tip = entry;
    say({ said: 'durable', sequence: entry.sequence, id: entry.id });
  } catch (thrown) {
    unsure = true;
    sayFailed(thrown);
  }
}
await database.close();
