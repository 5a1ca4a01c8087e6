/** What an account earned, spent, received and sent within spans of time, by the clock of its own node. */

import { LEDGER } from '../../limits/ledger.ts';
import type { History, HistoryLine } from './history.ts';
import type { Ledger } from './ledger.ts';

/** Microcredits. */
export interface Totals {
  /** By claims: others paid for jobs that ran here. */
  readonly earned: bigint;
  /** Out of holds: paid to others for jobs. Counted on the day of the hold. */
  readonly spent: bigint;
  /** By transfers. */
  readonly received: bigint;
  readonly sent: bigint;
}

/**
 * @param since beginnings of the spans, milliseconds since 1970
 * @returns the totals of each span, in their order
 */
export async function summarise(
  history: Pick<History, 'page'>,
  ledger: Pick<Ledger, 'books'>,
  since: readonly number[],
): Promise<Totals[]> {
  const totals = since.map(() => ({ earned: 0n, spent: 0n, received: 0n, sent: 0n }));
  const earliest = Math.min(...since);
  /** What came back of legs whose hold is met later, since it is older. */
  const back = new Map<string, bigint>();
  const add = (at: number, kind: keyof Totals, amount: bigint) => {
    for (const [index, total] of totals.entries()) if (at >= (since[index] ?? 0)) total[kind] += amount;
  };
  let before: number | undefined = Number.MAX_SAFE_INTEGER;
  let looked = 0;
  do {
    const page = await history.page(before, LEDGER.readPage);
    for (const line of page.lines) {
      count(line, back, ledger, add);
      looked++;
    }
    // Times of one's own log go up, unless the clock was set back: a page that is older throughout ends the search.
    if (page.lines.every(({ at }) => at < earliest)) break;
    before = page.next;
  } while (before !== undefined && looked < LEDGER.maxSummed);
  return totals;
}

type Add = (at: number, kind: keyof Totals, amount: bigint) => void;

function count(line: HistoryLine, back: Map<string, bigint>, ledger: Pick<Ledger, 'books'>, add: Add): void {
  const { kind, at, amount } = line;
  if (kind === 'transfer') add(at, 'sent', -amount);
  else if (kind === 'accept') add(at, 'received', amount);
  else if (kind === 'claim') add(at, 'earned', amount);
  else if (kind === 'release' && line.of !== undefined) {
    const key = `${line.of.id}/${line.leg}`;
    back.set(key, (back.get(key) ?? 0n) + amount);
  } else if (kind === 'hold' && amount !== 0n) {
    const open = ledger.books().leg(line.name, line.leg ?? 0);
    const given = back.get(`${line.name.id}/${line.leg}`) ?? 0n;
    add(at, 'spent', open === undefined ? -amount - given : open.paid);
  }
}
