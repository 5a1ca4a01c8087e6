/** Holds the real ledger against the naive fold, in everything that can be asked of it. */

import type { Entry } from '../../ledger/entries/entry.ts';
import { nameOf as nameOfEntry } from './authors.ts';
import { type Driver, readState } from './driver.ts';
import type { NaiveLedger } from './naive.ts';
import { nameOf, tell } from './telling.ts';

/** @throws Error that says what differs, and shows the history so far */
export function expectModel(driver: Driver): void {
  const { ledger } = driver;
  const naive = driver.naive();
  const differences: string[] = [];
  const compare = (what: string, real: unknown, expected: unknown) => {
    if (real !== expected) differences.push(`${what}: the ledger says ${real}, the naive fold ${expected}`);
  };
  for (const item of driver.seen) {
    if (item.type !== 'entry') continue;
    const { entry } = item;
    const status = ledger.status(nameOfEntry(entry));
    compare(`${short(entry)} is in`, driver.isIn(entry.id), naive.taken.has(entry.id));
    const expected = statusIn(naive, entry, driver.contradicted);
    // Of places that left its memory it need not know more than what is open; what is not the final one there has fallen.
    const may = isPruned(driver, entry)
      ? [expected, 'unknown', expected === 'unknown' ? 'fallen' : expected]
      : [expected];
    if (!may.includes(status)) compare(`status of ${short(entry)}`, status, expected);
  }
  compare('digest', ledger.digest(), naive.digest);
  for (const [author, amount] of naive.available) {
    compare(`available of ${nameOf(author)}`, ledger.available(author).available, amount);
  }
  for (const [author, tip] of naive.tips) compare(`tip of ${nameOf(author)}`, ledger.tip(author)?.id, tip.id);
  compare('state', textOf(ledger.books().encode()), textOf(naive.state));
  if (!driver.contradicted) {
    compare('final state', textOf(ledger.finalBooks().encode()), textOf(naive.finalState));
    const { movedFinally } = driver;
    for (const id of new Set([...movedFinally.keys(), ...naive.final])) {
      const expected = naive.final.has(id) ? (naive.effects.get(id) ?? 0n) : 'not final';
      compare(`what ${id.slice(0, 6)} moved when it became final`, movedFinally.get(id) ?? 'not final', expected);
    }
    for (const author of naive.tips.keys()) {
      compare(`final of ${nameOf(author)}`, ledger.available(author).final, finalIn(naive, author, driver));
    }
  }
  if (differences.length > 0) throw new Error(`${differences.join('\n')}\nafter\n${tell(driver.seen)}`);
}

function statusIn({ taken, standing, final, covered }: NaiveLedger, { id }: Entry, contradicted: boolean): string {
  if (!taken.has(id)) return 'unknown';
  if (!standing.has(id)) return 'fallen';
  if (final.has(id) && !contradicted) return 'final';
  return covered.has(id) ? 'certified' : 'stands';
}

/** Whether its place has left the ledger's memory: then the ledger need not know it any more. */
function isPruned({ ledger }: Driver, { author, sequence }: Entry): boolean {
  const state = readState(ledger.finalBooks().encode());
  return sequence <= (state.sequences.get(author) ?? -1);
}

/** What nobody can take back: what is final, less what left since. */
function finalIn({ standing, final, effects, taken }: NaiveLedger, author: string, driver: Driver): bigint {
  let left = author === driver.mesh.founder ? driver.mesh.genesis : 0n;
  for (const [id, effect] of effects) {
    if (!standing.has(id) || taken.get(id)?.author !== author) continue;
    if (effect < 0n || final.has(id)) left += effect;
  }
  return left > 0n ? left : 0n;
}

function short({ author, sequence, id }: Entry): string {
  return `${nameOf(author)}#${sequence}:${id.slice(0, 6)}`;
}

function textOf(state: Uint8Array): string {
  return Buffer.from(state).toString('hex');
}

/** @throws Error that says what is not as it should be */
export function expectSame(what: string, is: unknown, expected: unknown): void {
  if (is !== expected) throw new Error(`${what}: is ${is}, should be ${expected}`);
}
