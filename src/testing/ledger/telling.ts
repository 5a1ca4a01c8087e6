/** A history in words, for whoever reads a failure. */

import type { EntryName } from '../../ledger/entries/entry.ts';
import { account, FOUNDER, witnessNames } from './authors.ts';
import type { Item } from './histories.ts';
import { ACCOUNTS } from './plans.ts';

/** One line for each item. Ids are shortened to six digits. */
export function tell(items: readonly Item[]): string {
  return items.map(lineOf).join('\n');
}

function lineOf(item: Item, index: number): string {
  const number = String(index + 1).padStart(3);
  if (item.type === 'attestation') {
    const { witness, late } = item.attestation;
    return `${number} ${nameOf(witness)} attests ${placeOf(item.attestation)}${late ? ' late' : ''}`;
  }
  const { body, previous } = item.entry;
  const who = `${number} ${placeOf(item.entry)} (behind ${previous.slice(0, 6)})`;
  switch (body.kind) {
    case 'transfer':
      return `${who}: transfer ${body.amount} to ${nameOf(body.to)}`;
    case 'accept':
      return `${who}: accept ${placeOf(body.transfer)}`;
    case 'hold':
      return `${who}: hold ${body.legs.map(({ payee, max }) => `${max} for ${nameOf(payee)}`).join(', ')}`;
    case 'claim':
      return `${who}: claim ${body.cumulative} of ${placeOf(body.hold)} leg ${body.leg}${body.last ? ', last' : ''}`;
    case 'release': {
      const rest = 'alone' in body.rest ? `alone at ${body.rest.alone}` : `by ${placeOf(body.rest.claim)}`;
      return `${who}: release ${placeOf(body.hold)} leg ${body.leg} ${rest}`;
    }
  }
}

function placeOf({ author, sequence, id }: EntryName): string {
  return `${nameOf(author)}#${sequence}:${id.slice(0, 6)}`;
}

/** The name that the tests gave this account. */
export function nameOf(id: string): string {
  return [FOUNDER, ...ACCOUNTS, ...witnessNames(7)].find((name) => account(name).id === id) ?? id.slice(0, 6);
}
