import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type History, play } from '../../testing/ledger/histories.ts';
import { foldNaively } from '../../testing/ledger/naive.ts';
import { plans } from '../../testing/ledger/plans.ts';
import { SmallLedgerMesh, TRUSTING } from '../../testing/ledger/small-ledger-mesh.ts';
import { hexOf } from '../entries/fields.ts';

/**
 * Deals what there is to the nodes: each item goes to the nodes whose bit is set. What witnesses say of one entry goes to the same
 * ones: a sync carries certificates, and single attestations go by gossip and by asking the witness.
 */
async function dealt(history: History, nodes: number, seeds: readonly number[]): Promise<SmallLedgerMesh> {
  const small = new SmallLedgerMesh(history.mesh, { codec: TRUSTING });
  for (let index = 0; index < nodes; index++) await small.add(`n${index}`);
  for (const [index, item] of history.items.entries()) {
    const dealt = item.type === 'entry' ? index : Number.parseInt(item.attestation.id.slice(0, 6), 16);
    const to = 1 + ((seeds[dealt % seeds.length] ?? 0) % (2 ** nodes - 1));
    for (const [bit, node] of small.nodes.entries()) {
      if ((to & (1 << bit)) === 0) continue;
      const page =
        item.type === 'entry' ? { entries: [item.entry.sealed] } : { attestations: [item.attestation.sealed] };
      await node.ingest.take(page, 'x');
    }
  }
  return small;
}

describe('nodes that heard different things', { timeout: 60_000 }, () => {
  it('agree once each has synced with each, and on what a fold from the specification says', async () => {
    await fc.assert(
      fc.asyncProperty(
        plans({ lying: ['none', 'some'] }),
        fc.integer({ min: 2, max: 5 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 40 }),
        async (plan, nodes, seeds) => {
          const history = play(plan);
          if (!history.mostAreHonest) return;
          const small = await dealt(history, nodes, seeds);
          await small.agree();
          const entries = history.items.flatMap((item) => (item.type === 'entry' ? [item.entry] : []));
          const attestations = history.items.flatMap((item) => (item.type === 'attestation' ? [item.attestation] : []));
          const naive = foldNaively(history.mesh, entries, attestations);
          for (const { ingest, violations } of small.nodes) {
            expect(violations).toEqual([]);
            expect(ingest.ledger.digest()).toBe(naive.digest);
            expect(hexOf(ingest.ledger.books().encode())).toBe(hexOf(naive.state));
            expect(ingest.ledger.digest()).toBe(small.nodes[0]?.ingest.ledger.digest());
            expect(hexOf(ingest.ledger.finalBooks().encode())).toBe(
              hexOf(small.nodes[0]?.ingest.ledger.finalBooks().encode() ?? new Uint8Array()),
            );
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
