/** Kills a process that writes its log, again and again, and looks whether everything that it said is durable is there. */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Entry, EntryId } from '../../ledger/entries/entry.ts';
import { openEntry } from '../../ledger/entries/entry-codec.ts';
import { openDatabase } from '../../storage/database.ts';
import { LevelLedgerStore } from '../../storage/ledger-store.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { account, hex, meshOf } from './authors.ts';
import type { WritingLine } from './writing-process.ts';

const SCRIPT = fileURLToPath(new URL('./writing-process.ts', import.meta.url));
const mesh = meshOf();

export interface WriterRun {
  readonly lines: readonly WritingLine[];
  readonly errors: string;
  readonly status: number | null;
}

/**
 * Runs the writer until it ends.
 * @param options.killAfterMs SIGKILL so long after its start, or behind its first durable entry
 * @param options.shell runs in front of it, such as `ulimit`
 */
export function runWriter(
  folder: string,
  options: { killAfterMs?: number; from?: 'start' | 'first'; stopAfter?: number; shell?: string } = {},
): Promise<WriterRun> {
  const { killAfterMs, from = 'first', stopAfter, shell } = options;
  const args = [SCRIPT, JSON.stringify({ folder, stopAfter })];
  const child =
    shell === undefined
      ? spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
      : spawn('sh', ['-c', `${shell} && exec "$0" "$@"`, process.execPath, ...args], {
          stdio: ['ignore', 'pipe', 'pipe'],
        });
  const lines: WritingLine[] = [];
  let errors = '';
  let timer: NodeJS.Timeout | undefined;
  const killSoon = () => {
    if (killAfterMs !== undefined) timer ??= setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  };
  if (from === 'start') killSoon();
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as WritingLine;
    lines.push(line);
    if (line.said === 'durable') killSoon();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  return new Promise((resolve) => {
    child.once('close', (status) => {
      clearTimeout(timer);
      resolve({ lines, errors, status });
    });
  });
}

/** What the writer has said to be durable, over all its lives. */
export class Promised {
  readonly #ids = new Map<number, EntryId>();
  #last = -1;

  get size(): number {
    return this.#ids.size;
  }

  /** @throws Error when a life of the writer did not find what one before it had promised, or promised something else */
  take({ lines }: WriterRun): void {
    for (const line of lines) {
      if (line.said === 'found' && line.sequence < this.#last) {
        throw new Error(`the log ends at ${line.sequence}, and entry ${this.#last} was promised`);
      }
      if (line.said !== 'durable') continue;
      if (this.#ids.has(line.sequence)) throw new Error(`two entries were promised at ${line.sequence}`);
      this.#ids.set(line.sequence, line.id);
      this.#last = line.sequence;
    }
  }

  /**
   * Reads the whole log back, signatures and all.
   * @returns its length
   * @throws Error when an entry is missing, forked, damaged, or not the one that was promised
   */
  async check(folder: string): Promise<number> {
    const database = await openDatabase(folder);
    try {
      const store = new LevelLedgerStore(database, mesh.networkId, silentLogger);
      let tip: Entry | undefined;
      for await (const { sealed } of store.chain(account('A').id, 0)) {
        const entry = openEntry(sealed, mesh);
        const follows = entry.sequence === (tip?.sequence ?? -1) + 1;
        if (!follows || entry.previous !== (tip?.id ?? hex(mesh.networkId))) {
          throw new Error(`entry ${entry.sequence} does not follow ${tip?.sequence}`);
        }
        const promised = this.#ids.get(entry.sequence);
        if (promised !== undefined && promised !== entry.id) throw new Error(`another entry at ${entry.sequence}`);
        tip = entry;
      }
      const length = (tip?.sequence ?? -1) + 1;
      if (length <= this.#last) throw new Error(`the log ends at ${length - 1}, and entry ${this.#last} was promised`);
      return length;
    } finally {
      await database.close();
    }
  }
}
