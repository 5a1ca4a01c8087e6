import { describe, expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { IN_TURN, SmallLedgerMesh, type SmallLedgerNode, TRUSTING } from '../../testing/ledger/small-ledger-mesh.ts';
import { fromHex } from '../entries/fields.ts';
import type { LedgerStore } from '../ports.ts';
import { Serve } from './serve.ts';

const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });
const sealed = (items: readonly { sealed: Uint8Array }[]) => items.map((item) => item.sealed);
const founderKey = fromHex(mesh.founder);

/** A node with some entries of the founder, and its answers over a store that the test watches. */
async function stage(count: number, codec = IN_TURN) {
  const node = await new SmallLedgerMesh(mesh, { codec }).add('node');
  const founder = new Writer(mesh, FOUNDER, { signed: codec === IN_TURN });
  const entries = Array.from({ length: count }, () => founder.transfer('A', 1n));
  await node.ingest.take({ entries: sealed(entries) }, 'x');
  return { node, entries };
}

function serveOver({ ingest }: SmallLedgerNode, store: Pick<LedgerStore, 'chain' | 'entry' | 'attestations'>) {
  const counts = { pauses: 0 };
  const pause = async () => {
    counts.pauses++;
  };
  return { serve: new Serve({ mesh }, { ingest, store, pause }), counts };
}

function readsOf(store: LedgerStore): Pick<LedgerStore, 'chain' | 'entry' | 'attestations'> {
  return {
    chain: (...args) => store.chain(...args),
    entry: (...args) => store.entry(...args),
    attestations: (...args) => store.attestations(...args),
  };
}

describe('a chain that is handed out', () => {
  it('has no gap when more of it becomes final meanwhile', async () => {
    const { node, entries } = await stage(20);
    await node.ingest.take({ attestations: sealed(certify(mesh, entries[9]!)) }, 'x');
    const reads = readsOf(node.store);
    async function* chain(...args: Parameters<LedgerStore['chain']>) {
      try {
        yield* reads.chain(...args);
      } finally {
        await node.ingest.take({ attestations: sealed(certify(mesh, entries[14]!)) }, 'x');
      }
    }
    const { serve } = serveOver(node, { ...reads, chain });
    const answer = await serve.answer({ type: 'chains', from: [[founderKey, 0]] });
    expect(node.ingest.ledger.finalTip(mesh.founder)).toMatchObject({ sequence: 14 });
    expect(answer).toEqual({ type: 'entries', entries: sealed(entries), more: false });
    expect(node.ingest.damaged).toEqual([]);
  });
});

describe('a place that is said to be damaged', () => {
  it('is not, when its entry can be read', async () => {
    const { node, entries } = await stage(20);
    await node.ingest.take({ attestations: sealed(certify(mesh, entries[9]!)) }, 'x');
    await node.ingest.flushed();
    node.ingest.onDamage(entries[5]!);
    await node.ingest.take({ entries: [entries[5]!.sealed] }, 'x');
    expect(node.ingest.damaged).toEqual([]);
  });

  it('is whole again once its entry is found to be here', async () => {
    const { node, entries } = await stage(20);
    await node.ingest.take({ attestations: sealed(certify(mesh, entries[9]!)) }, 'x');
    await node.ingest.flushed();
    await node.store.drop([entries[5]!]);
    const gone = Promise.withResolvers<void>();
    node.ingest.onGap(() => gone.resolve());
    node.ingest.onDamage(entries[5]!);
    await gone.promise;
    expect(node.ingest.damaged).toMatchObject([{ id: entries[5]!.id }]);
    await node.store.write({ entries: [entries[5]!] }, true);
    await node.ingest.take({ entries: [entries[5]!.sealed] }, 'x');
    expect(node.ingest.damaged).toEqual([]);
  });
});

describe('a question for certificates', () => {
  it('that repeats an account costs no more than one that names it once', async () => {
    const { node, entries } = await stage(20);
    await node.ingest.take({ attestations: sealed(certify(mesh, entries[9]!)) }, 'x');
    const reads = readsOf(node.store);
    let asked = 0;
    const attestations: LedgerStore['attestations'] = (...args) => {
      asked++;
      return reads.attestations(...args);
    };
    const { serve } = serveOver(node, { ...reads, attestations });
    const once = await serve.answer({ type: 'certificates', from: [[founderKey, 0]] });
    const forOne = asked;
    const from = Array.from({ length: LEDGER.maxAsked }, (): [Uint8Array, number] => [founderKey, 0]);
    expect(await serve.answer({ type: 'certificates', from })).toEqual(once);
    expect(asked).toBe(2 * forOne);
  });

  it('gives others their turn, and ends, when what it goes through in memory is long', async () => {
    const { node, entries } = await stage(LEDGER.loadSlice + 1, TRUSTING);
    const { serve, counts } = serveOver(node, readsOf(node.store));
    expect(node.ingest.ledger.counts().entries).toBe(entries.length);
    await serve.answer({ type: 'certificates', from: [[founderKey, 0]] });
    expect(counts.pauses).toBe(1);
  });
});
