/** Reads a range of the database, over damaged places too. */

import { DATABASE } from '../limits/program.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type Database, databaseError, type Moment } from './database.ts';
import type { KeyRange } from './ledger-records.ts';

type Row = [key: Uint8Array, value: Uint8Array];
type From = (KeyRange | { readonly gt: Uint8Array; readonly lt: Uint8Array }) & { readonly snapshot?: Moment };

interface ReadOptions {
  /** A range that cannot be read as a whole is refused. */
  readonly whole?: boolean;
  /** Reads the database as it was then. */
  readonly moment?: Moment | undefined;
}

/**
 * The keys and values of a range, in order, some kilobytes at a time. LevelDB steps over a block of its file that it cannot
 * read, and says so at the end of the range, where level throws away what it had read last; so from there on rows are read
 * one by one, and whoever reads finds what is missing from what is there.
 * @throws GoGridError `damaged` (only with `whole`), `home_unusable`
 */
export async function* readRange(
  database: Database,
  range: KeyRange,
  log: Logger,
  { whole = false, moment }: ReadOptions = {},
): AsyncGenerator<Row> {
  const { location } = database.level;
  const at = moment === undefined ? {} : { snapshot: moment };
  let last: Uint8Array | undefined;
  try {
    for await (const row of rowsOf(database, { ...range, ...at })) {
      // Where a file is damaged, keys may lie in any order.
      if (last !== undefined && Buffer.compare(row[0], last) <= 0) continue;
      last = row[0];
      yield row;
    }
    return;
  } catch (thrown) {
    const error = databaseError(location, thrown);
    if (whole || error.code !== 'damaged') throw error;
    log.warn({ error }, 'a part of the ledger cannot be read from the disk: what is missing is fetched again');
  }
  yield* rowByRow(database, { ...(last === undefined ? range : { gt: last, lt: range.lt }), ...at });
}

function rowsOf(database: Database, range: From) {
  return database.level.iterator<Uint8Array, Uint8Array>({
    ...range,
    keyEncoding: 'view',
    valueEncoding: 'view',
    highWaterMarkBytes: DATABASE.readAheadBytes,
  });
}

async function* rowByRow(database: Database, range: From): AsyncGenerator<Row> {
  const rows = rowsOf(database, range);
  try {
    for (let [row] = await rows.nextv(1); row !== undefined; [row] = await rows.nextv(1)) yield row;
  } catch (thrown) {
    const error = databaseError(database.level.location, thrown);
    // It says so again at the end.
    if (error.code !== 'damaged') throw error;
  } finally {
    await rows.close();
  }
}
