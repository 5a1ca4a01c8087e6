/** What happens in a history, as plain small values: fast-check makes, shrinks and prints them, and `histories.ts` plays them. */

import fc from 'fast-check';

/** Something that an account writes. The numbers choose among what there is when the step comes; 0 is the newest. */
export interface WriteStep {
  readonly act: 'write';
  readonly author: number;
  readonly what: 'transfer' | 'accept' | 'hold' | 'claim' | 'release' | 'alone';
  /** Which transfer, hold or claim it is about. */
  readonly about: number;
  readonly to: number;
  readonly amount: number;
  /** How many legs a hold has beyond one; which leg a claim or release names. */
  readonly leg: number;
  readonly last: boolean;
  /** Only dishonest authors: how many entries to go back before writing; 0 goes on behind the newest of the log. */
  readonly back: number;
  /** Only dishonest authors: what is wrong with the names in it. */
  readonly odd: 'no' | 'place' | 'author' | 'id';
}

/** A node hears of some of what there is: `share` quarters. */
export interface HearStep {
  readonly act: 'hear';
  readonly node: number;
  readonly share: number;
}

/** The honest ones of these witnesses (bits) hear of `share` quarters of what there is and attest what they may. */
export interface AttestStep {
  readonly act: 'attest';
  readonly who: number;
  readonly share: number;
}

/** The lying ones of these witnesses (bits) attest one entry, whatever they attested before. */
export interface LieStep {
  readonly act: 'lie';
  readonly who: number;
  readonly about: number;
  readonly late: boolean;
}

/** Days go by; the witnesses in `restarted` (bits) start anew. */
export interface WaitStep {
  readonly act: 'wait';
  readonly days: number;
  readonly restarted: number;
}

export type Step = WriteStep | HearStep | AttestStep | LieStep | WaitStep;

/** In which order a node gets what there is. */
export interface Order {
  readonly by: 'time' | 'nearly' | 'backward' | 'shuffled' | 'entries-first' | 'attestations-first';
  readonly seed: number;
  /** How many of the items come again, in eighths. */
  readonly again: number;
}

export interface Plan {
  readonly witnesses: 0 | 1 | 4 | 7;
  readonly lying: 'none' | 'some' | 'all';
  /** Accounts beside the founder that are honest (bits); the founder is honest when bit 0 is set. */
  readonly honest: number;
  /** So many accounts get credits from the founder and accept them before the first step. */
  readonly funded: number;
  readonly steps: readonly Step[];
  readonly orders: readonly [Order, Order];
}

/** The founder, and the others in small letters of the alphabet. */
export const ACCOUNTS = ['founder', 'A', 'B', 'C', 'D'];

const recent = fc.oneof({ weight: 3, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(12) });
const share = fc.constantFrom(4, 4, 3, 2, 1);
const who = fc.constantFrom(127, 127, 127, 7, 120, 21);
const liars = fc.constantFrom(127, 127, 31, 85);
const amount = fc.oneof({ weight: 3, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(6) });
const anybody = fc.nat(ACCOUNTS.length - 1);

const write: fc.Arbitrary<WriteStep> = fc.record({
  act: fc.constant('write' as const),
  author: anybody,
  what: fc.constantFrom('transfer', 'accept', 'hold', 'claim', 'claim', 'release', 'alone'),
  about: recent,
  to: fc.nat(ACCOUNTS.length - 2),
  amount,
  leg: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
  last: fc.boolean(),
  back: fc.oneof({ weight: 7, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }) }),
  odd: fc.oneof(
    { weight: 8, arbitrary: fc.constant('no' as const) },
    { weight: 1, arbitrary: fc.constantFrom('place' as const, 'place' as const, 'author' as const, 'id' as const) },
  ),
});

const hear: fc.Arbitrary<HearStep> = fc.record({ act: fc.constant('hear'), node: anybody, share });
const attest: fc.Arbitrary<AttestStep> = fc.record({ act: fc.constant('attest'), who, share });
const lie: fc.Arbitrary<LieStep> = fc.record({
  act: fc.constant('lie'),
  who: liars,
  about: recent,
  late: fc.boolean(),
});
const wait: fc.Arbitrary<WaitStep> = fc.record({
  act: fc.constant('wait'),
  days: fc.constantFrom(8, 3),
  restarted: fc.constantFrom(0, 0, 0, 127, 5),
});

const everybodyHears: readonly Step[] = ACCOUNTS.map((_, node) => ({ act: 'hear', node, share: 4 }));
const allAttest: Step = { act: 'attest', who: 127, share: 4 };
const aWeek: Step = { act: 'wait', days: 8, restarted: 0 };

/** A hold and what becomes of it: claims, closing, the rest given back in one way or the other, attested or not in between. */
const channel: fc.Arbitrary<readonly Step[]> = fc
  .record({
    hold: write,
    amounts: fc.array(amount, { maxLength: 3 }),
    ends: fc.subarray(['last', 'release', 'week', 'alone', 'alone again', 'late claim', 'certificate'] as const),
    attested: fc.boolean(),
    kept: fc.constantFrom(1, 3, 6, 0),
  })
  .map(({ hold, amounts, ends, attested, kept }) => {
    const base: WriteStep = { ...hold, author: Math.max(1, hold.author), about: 0, last: false, odd: 'no', back: 0 };
    const begin: Step[] = [{ ...base, what: 'hold' }, ...(attested ? [allAttest] : []), ...everybodyHears];
    const claims = amounts.map((some): Step => ({ ...base, what: 'claim', amount: some }));
    const then: Record<(typeof ends)[number], readonly Step[]> = {
      last: [{ ...base, what: 'claim', last: true }, ...everybodyHears],
      release: [{ ...base, what: 'release' }],
      week: [aWeek],
      alone: [{ ...base, what: 'alone', amount: kept }, hold.last ? allAttest : aWeek],
      'alone again': [{ ...base, what: 'alone', amount: 6 }],
      'late claim': [{ ...base, what: 'claim', amount: 2 }],
      certificate: [allAttest, ...everybodyHears],
    };
    return [...begin, ...claims, ...ends.flatMap((end) => then[end])];
  });

/** An older place is signed a second time, and what that pays is passed on at once. */
const laundered: fc.Arbitrary<readonly Step[]> = fc
  .record({
    fork: write,
    back: fc.integer({ min: 1, max: 4 }),
    certified: fc.boolean(),
    hops: fc.nat(2),
    more: fc.nat(2),
  })
  .map(({ fork, back, certified, hops, more }) => [
    ...(certified ? [allAttest] : []),
    { ...fork, what: 'transfer', back } as const,
    ...Array.from({ length: more }, () => ({ ...fork, what: 'transfer', back: 0, odd: 'no' }) as const),
    { ...fork, what: 'accept', author: 1, about: 0, leg: 0, back: 0 } as const,
    ...Array.from({ length: hops }, (_, hop) => [
      { ...fork, what: 'transfer', author: 1 + ((fork.to + hop) % 4), to: hop, back: 0 } as const,
      { ...fork, what: 'accept', author: 1, about: 0, leg: 0, back: 0 } as const,
    ]).flat(),
  ]);

/** Two entries for one place, and whoever lies attests both. */
const twice: fc.Arbitrary<readonly Step[]> = fc.tuple(write, write, fc.boolean()).map(([one, other, late]) => [
  { ...one, what: 'transfer', back: 0 },
  { ...other, author: one.author, what: 'transfer', back: 1 },
  { act: 'lie', who: 127, about: 0, late },
  { act: 'lie', who: 127, about: 1, late },
]);

const steps: fc.Arbitrary<readonly Step[]> = fc.oneof(
  { weight: 14, arbitrary: fc.tuple(write) },
  { weight: 2, arbitrary: fc.tuple(hear) },
  { weight: 3, arbitrary: fc.tuple(attest) },
  { weight: 3, arbitrary: fc.tuple(lie) },
  { weight: 1, arbitrary: fc.tuple(wait) },
  { weight: 1, arbitrary: fc.constant(everybodyHears) },
  { weight: 3, arbitrary: channel },
  { weight: 1, arbitrary: laundered },
  { weight: 1, arbitrary: twice },
);

const order: fc.Arbitrary<Order> = fc.record({
  by: fc.constantFrom('time', 'nearly', 'backward', 'shuffled', 'entries-first', 'attestations-first'),
  seed: fc.nat(1_000),
  again: fc.nat(3),
});

export interface PlanBounds {
  readonly lying?: readonly Plan['lying'][];
  /** At most. */
  readonly steps?: number;
}

export function plans({ lying = ['none', 'some', 'all'], steps: most = 24 }: PlanBounds = {}): fc.Arbitrary<Plan> {
  return fc.record({
    witnesses: fc.constantFrom(0, 1, 4, 4, 7),
    lying: fc.constantFrom(...lying),
    honest: fc.nat(2 ** ACCOUNTS.length - 1),
    funded: fc.nat(ACCOUNTS.length - 1),
    // Without its usual leaning to short arrays: what is worth finding takes some steps.
    steps: fc.noBias(fc.array(steps, { minLength: 4, maxLength: most, size: 'max' })).map((parts) => parts.flat()),
    orders: fc.tuple(order, order),
  });
}
