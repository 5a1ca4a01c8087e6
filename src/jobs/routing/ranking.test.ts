import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROUTING } from '../../limits/jobs.ts';
import type { ExpectedMs, Weighed } from './decision.ts';
import { rank, scoreOf } from './ranking.ts';

const NOTHING: ExpectedMs = { wait: 0, load: 0, prefill: 0, decode: 0, roundTrip: 0 };

/** A candidate of which a test names what matters to it. */
function weighed(node: string, ms: number, changes: Partial<Weighed> = {}): Weighed {
  const { expectedMs = { ...NOTHING, decode: ms }, reliability = 1, avoidance = 1 } = changes;
  const rest = { node, local: false, digest: 'a', warmTokens: 0, failed: false, otherDigest: false, tooShort: false };
  return {
    ...rest,
    ...changes,
    expectedMs,
    reliability,
    avoidance,
    score: scoreOf({ expectedMs, reliability, avoidance }),
  };
}

const part = fc.integer({ min: 0, max: 20_000 });
const parts = fc.record<ExpectedMs>({ wait: part, load: part, prefill: part, decode: part, roundTrip: part });
const facts = fc.record({
  expectedMs: parts,
  reliability: fc.double({ min: 0.05, max: 1, noNaN: true }),
  avoidance: fc.double({ min: 1, max: 201, noNaN: true }),
  warmTokens: fc.constantFrom(0, 0, 100),
  failed: fc.boolean(),
  otherDigest: fc.boolean(),
  tooShort: fc.boolean(),
});
/** Any number of candidates, this machine perhaps among them. */
const candidates = fc
  .tuple(fc.array(facts, { maxLength: 8 }), fc.option(fc.nat(7), { nil: undefined }))
  .map(([all, own]) => all.map((each, i) => weighed(`n${i}`, 0, { ...each, local: i === own })));
const dice = fc.double({ min: 0, max: 0.999, noNaN: true });

describe('the order of candidates', () => {
  it('has all of them once, whatever speaks against them', () => {
    fc.assert(
      fc.property(candidates, dice, (all, x) => {
        const { candidates: order, choice } = rank(all, () => x);
        expect(order.toSorted(byNode)).toEqual(all.toSorted(byNode));
        expect(choice === 'none').toBe(all.length === 0);
        expect(choice === 'only').toBe(all.length === 1);
      }),
    );
  });

  it('never has one that failed before one that did not, nor another digest before the same, nor a short context before a long one', () => {
    fc.assert(
      fc.property(candidates, dice, (all, x) => {
        const order = rank(all, () => x).candidates.map(
          (each) => Number(each.tooShort) * 4 + Number(each.failed) * 2 + Number(each.otherDigest),
        );
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }),
    );
  });

  it('moves nobody forward who gets worse in anything', () => {
    const worse = fc.oneof(
      fc.record({ part: fc.constantFrom(...(Object.keys(NOTHING) as (keyof ExpectedMs)[])), by: fc.nat(20_000) }),
      fc.constantFrom<'reliability' | 'avoidance' | 'failed' | 'otherDigest' | 'tooShort'>(
        'reliability',
        'avoidance',
        'failed',
        'otherDigest',
        'tooShort',
      ),
    );
    fc.assert(
      fc.property(candidates, fc.nat(7), worse, (all, at, how) => {
        const chosen = all[at];
        fc.pre(chosen !== undefined);
        const spoilt = spoil(chosen, how);
        // The dice are left out: they always show the best.
        const place = (list: readonly Weighed[]) =>
          rank(list, () => 0).candidates.findIndex(({ node }) => node === chosen.node);
        expect(place(all.with(at, spoilt))).toBeGreaterThanOrEqual(place(all));
      }),
      { numRuns: 500 },
    );
  });

  it('keeps a job here while this machine is not clearly slower', () => {
    const here = (ms: number) => weighed('here', ms, { local: true });
    const random = () => 0;
    const slower = 1_000 * ROUTING.hereFactor;
    expect(rank([weighed('peer', 1_000), here(slower - 10)], random).choice).toBe('here');
    expect(rank([weighed('peer', 1_000), here(slower + 10)], random)).toMatchObject({
      choice: 'fastest',
      candidates: [{ node: 'peer' }, { node: 'here' }],
    });
  });

  it('sends a conversation back to who has read it, unless that one is clearly slower', () => {
    const warm = (ms: number) => weighed('warm', ms, { warmTokens: 500 });
    const last = () => 0.99;
    expect(rank([weighed('a', 1_000), warm(1_150), weighed('b', 1_100)], last)).toMatchObject({
      choice: 'warm',
      candidates: [{ node: 'warm' }, { node: 'a' }, { node: 'b' }],
    });
    expect(rank([weighed('a', 1_000), warm(1_300)], last).choice).toBe('fastest');
  });

  it('counts what a try at an avoided one costs, however small the job is', () => {
    const dead = weighed('dead', 1, { avoidance: 1 + ROUTING.avoidancePerFailure });
    expect(rank([dead, weighed('alive', 30_000)], () => 0).candidates[0]?.node).toBe('alive');
  });

  it('does not dice a failed one to the front', () => {
    const all = [
      weighed('ok', 60_000),
      weighed('dead', 1, { failed: true }),
      weighed('here', 1, { failed: true, local: true }),
    ];
    expect(rank(all, () => 0.99)).toMatchObject({ choice: 'fastest', candidates: [{ node: 'ok' }, {}, {}] });
  });

  it('draws two of those that are about as good, and takes the better', () => {
    const all = [weighed('a', 1_000), weighed('b', 1_050), weighed('c', 1_150), weighed('far', 5_000)];
    const drawn = (...numbers: number[]) => rank(all, () => numbers.shift() ?? 0);
    expect(drawn(0.5, 0.99)).toMatchObject({
      choice: 'one-of-two',
      candidates: [{ node: 'b' }, { node: 'a' }, {}, {}],
    });
    expect(drawn(0.99, 0.99).candidates[0]?.node).toBe('c');
    expect(drawn(0.99, 0).candidates[0]?.node).toBe('a');
  });
});

function spoil(each: Weighed, how: { part: keyof ExpectedMs; by: number } | string): Weighed {
  const changes: Partial<Weighed> =
    typeof how === 'object'
      ? { expectedMs: { ...each.expectedMs, [how.part]: each.expectedMs[how.part] + how.by } }
      : how === 'reliability'
        ? { reliability: each.reliability / 2 }
        : how === 'avoidance'
          ? { avoidance: each.avoidance * 2 }
          : { [how]: true };
  return weighed(each.node, 0, { ...each, ...changes });
}

function byNode(a: Weighed, b: Weighed): number {
  return a.node < b.node ? -1 : 1;
}
