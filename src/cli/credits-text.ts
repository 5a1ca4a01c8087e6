/** Credits as people write and read them: decimal, with up to six digits behind the point; the API counts in microcredits. */

import type { CreditEntry } from '../contract/credits.ts';
import { usage } from './arguments.ts';
import type { Style } from './text.ts';

const DIGITS = 6;
/** Longer ones are refused before they are counted with. */
const TYPED = /^([0-9]{1,30})(?:\.([0-9]{1,30}))?$/;
/** Microcredits of a mesh are fewer. */
const MOST = 2n ** 63n;

/**
 * Reads an amount of credits that somebody typed, such as `1.5`.
 * @returns microcredits, from 1
 * @throws GoGridError `usage`
 */
export function creditsIn(text: string): bigint {
  const [, whole = '', part = ''] = TYPED.exec(text.trim()) ?? [];
  const amount = whole === '' || part.length > DIGITS ? 0n : BigInt(whole + part.padEnd(DIGITS, '0'));
  if (amount > 0n && amount < MOST) return amount;
  throw usage(`'${text}' is not an amount of credits: ${whyNone(text.trim(), part, amount)}`, 'credits');
}

function whyNone(text: string, part: string, amount: bigint): string {
  if (amount >= MOST) return 'it is more than there can be';
  if (part.length > DIGITS) return `it has more than ${DIGITS} digits behind the point`;
  if (/^[0-9]+,[0-9]+$/.test(text)) return `write ${text.replace(',', '.')}, with a point`;
  if (/^-[0-9]/.test(text) || TYPED.test(text)) return 'it has to be above 0';
  return 'write a plain decimal number above 0, such as 1.5 or 0.000001';
}

/** `1.5 credits`. @param microcredits a decimal text, perhaps below 0 */
export function creditsText(microcredits: string): string {
  const amount = plainCredits(microcredits);
  return `${amount} ${amount === '1' ? 'credit' : 'credits'}`;
}

/** `1.5`, without zeros that say nothing. */
export function plainCredits(microcredits: string): string {
  const negative = microcredits.startsWith('-');
  const digits = microcredits.slice(negative ? 1 : 0).padStart(DIGITS + 1, '0');
  const part = digits.slice(-DIGITS).replace(/0+$/, '');
  return `${negative ? '-' : ''}${digits.slice(0, -DIGITS)}${part === '' ? '' : `.${part}`}`;
}

/** With its sign, as a table of what came and went has it. */
export function signedCredits(microcredits: string): string {
  return microcredits === '0' || microcredits.startsWith('-')
    ? plainCredits(microcredits)
    : `+${plainCredits(microcredits)}`;
}

/** What a line of the history is. */
export function kindText({ kind, open, amountMicrocredits }: CreditEntry): string {
  switch (kind) {
    case 'transfer':
      return open && !amountMicrocredits.startsWith('-') ? 'on its way here' : 'sent';
    case 'accept':
      return 'received';
    case 'hold':
      return 'set aside';
    case 'claim':
      return 'earned';
    case 'release':
      return 'given back';
  }
}

/** What has become of it, in words. */
export function stateText({
  kind,
  state,
  open,
  amountMicrocredits,
}: CreditEntry): readonly [string, Style | undefined] {
  if (state === 'void') {
    const spends = kind === 'transfer' || kind === 'hold';
    return [spends ? 'void: more than there was' : 'void: what it books was not there', 'yellow'];
  }
  if (state === 'cut') {
    const booked = kind === 'accept' || kind === 'claim';
    return [booked ? 'lost: the sender spent it twice' : 'lost: this account signed another one in its place', 'red'];
  }
  const sure = state === 'final' ? 'final' : state === 'certified' ? 'witnessed, not final yet' : 'not witnessed yet';
  if (!open || kind === 'hold') return [sure, state === 'final' ? 'green' : undefined];
  const waits = amountMicrocredits.startsWith('-') ? 'waits to be accepted' : 'waits to be accepted here';
  return [`${waits}, ${sure}`, 'yellow'];
}
