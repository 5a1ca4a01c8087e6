import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROUTING } from '../../limits/jobs.ts';
import { checkedUsage } from './seen.ts';

const KNOWN = { promptTokens: 100, warm: true };
/** 100 tokens read in a second, 50 written in five. */
const SEEN = { tokens: 50, firstMs: 1_100, writeMs: 4_900 };
const TRUE = { promptTokens: 104, outputTokens: 50, loadMs: 0, prefillMs: 1_000, decodeMs: 5_000 };

describe("a provider's own account", () => {
  it('is believed as it is when it agrees with what was seen', () => {
    expect(checkedUsage(TRUE, SEEN, KNOWN)).toEqual(TRUE);
    const slow = { ...TRUE, decodeMs: 9_000 };
    expect(checkedUsage(slow, SEEN, KNOWN)).toEqual(slow);
    const cold = { ...TRUE, loadMs: 3_000 };
    expect(checkedUsage(cold, { ...SEEN, firstMs: 4_100 }, { ...KNOWN, warm: false })).toEqual(cold);
  });

  it('never makes it faster than it was seen to be, but for the tolerance', () => {
    const count = fc.nat(1_000_000_000);
    const claims = fc.record({
      promptTokens: count,
      outputTokens: count,
      loadMs: count,
      prefillMs: count,
      decodeMs: count,
    });
    const seen = fc.record({ tokens: fc.nat(10_000), firstMs: fc.nat(60_000), writeMs: fc.nat(60_000) });
    fc.assert(
      fc.property(fc.option(claims, { nil: undefined }), seen, fc.boolean(), (claim, came, warm) => {
        const known = { promptTokens: 100, warm };
        const { promptTokens, outputTokens, loadMs, prefillMs, decodeMs } = checkedUsage(claim, came, known);
        expect(outputTokens).toBe(came.tokens);
        expect(promptTokens).toBeLessThanOrEqual(400 + ROUTING.templateTokens);
        if (warm) expect(loadMs).toBe(0);
        const tookMs = came.firstMs + came.writeMs - ROUTING.usageSlackMs;
        expect(ROUTING.usageTolerance * (loadMs + prefillMs + decodeMs)).toBeGreaterThanOrEqual(tookMs - 1e-6);
        if (came.tokens === 0) return;
        expect(ROUTING.usageTolerance * decodeMs).toBeGreaterThanOrEqual(came.writeMs - ROUTING.usageSlackMs - 1e-6);
      }),
    );
  });

  it('does not hide slow writing behind an answer that comes in one piece', () => {
    const lie = { promptTokens: 100, outputTokens: 50, loadMs: 0, prefillMs: 0, decodeMs: 1 };
    const { decodeMs } = checkedUsage(lie, { tokens: 50, firstMs: 6_050, writeMs: 0 }, KNOWN);
    expect(decodeMs).toBe(6_000 / ROUTING.usageTolerance);
  });

  it('has nothing but reading where nothing is written', () => {
    const lie = { promptTokens: 100, outputTokens: 0, loadMs: 0, prefillMs: 1, decodeMs: 0 };
    const { prefillMs } = checkedUsage(lie, { tokens: 0, firstMs: 3_050, writeMs: 0 }, KNOWN);
    expect(prefillMs).toBe(3_000 / ROUTING.usageTolerance);
  });
});
