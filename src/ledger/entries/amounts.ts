/** Amounts in words. */

const MICROCREDITS = 1_000_000n;

/** `12.5 credits (12500000 microcredits)`: what people count in, and what programs do. */
export function inWords(microcredits: bigint): string {
  return `${inCredits(microcredits)} credits (${microcredits} microcredits)`;
}

/** Decimal credits without zeros at the end: `12.5`. @param microcredits 0 or more */
export function inCredits(microcredits: bigint): string {
  const whole = microcredits / MICROCREDITS;
  const part = String(microcredits % MICROCREDITS)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return part === '' ? String(whole) : `${whole}.${part}`;
}
