import { describe, expect, it } from 'vitest';
import { attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { SmallLedgerMesh, TRUSTING } from '../../testing/ledger/small-ledger-mesh.ts';
import { Ledger } from '../books/ledger.ts';
import type { Entry } from '../entries/entry.ts';

const sealed = (items: readonly { sealed: Uint8Array }[]) => items.map((item) => item.sealed);

describe('two nodes that stand on different branches', () => {
  it.each([1, 3])('meet after a long way together that is not final, %i entries behind it', async (parted) => {
    const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const shared = Array.from({ length: 3_000 }, () => founder.transfer('A', 1n));
    const branch = (to: string) => {
      const writer = founder.behind(shared.at(-1));
      return Array.from({ length: parted }, () => writer.transfer(to, 1n));
    };
    const small = new SmallLedgerMesh(mesh, { codec: TRUSTING });
    for (const to of ['B', 'C']) {
      const store = new MemoryLedgerStore();
      await store.write({ entries: [...shared, ...branch(to)] }, true);
      await small.add(to, store);
    }
    const [one, other] = small.nodes;
    expect(await one!.sync.with('C')).toMatchObject({ isCut: false, failed: undefined });
    expect(one!.ingest.ledger.forks()).toMatchObject([{ sequence: shared.length }]);
    await small.agree();
    expect(one!.ingest.ledger.digest()).toBe(other!.ingest.ledger.digest());
    expect(one!.ingest.ledger.counts().entries).toBe(shared.length);
  });

  it('agree even when too many witnesses certified both', async () => {
    const mesh = meshOf({ witnesses: 4, genesis: 1_000_000n });
    const founder = new Writer(mesh, FOUNDER);
    const grant = founder.transfer('A', 5n);
    const small = new SmallLedgerMesh(mesh);
    const one = await small.add('one');
    const other = await small.add('other');
    const give = async (node: typeof one, entry: Entry, witnesses: readonly string[]) => {
      const attestations = sealed(witnesses.map((witness) => attest(mesh, witness, entry)));
      await node.ingest.take({ entries: sealed([grant, entry]), attestations }, 'x');
      expect(node.ingest.ledger.status(entry)).toBe('final');
    };
    await give(one, founder.behind(grant).transfer('B', 1n), ['W1', 'W2', 'W3']);
    await give(other, founder.behind(grant).transfer('C', 1n), ['W2', 'W3', 'W4']);
    await small.agree();
    for (const { ingest } of small.nodes) {
      expect(ingest.ledger.digest()).toBe(one.ingest.ledger.digest());
      expect(ingest.ledger.tip(mesh.founder)?.id).toBe(grant.id);
    }
  });
});

describe('what witnesses say of a final place', () => {
  it('counts also when the entry that they say it of comes later', () => {
    const mesh = meshOf({ witnesses: 4, genesis: 1_000_000n });
    const founder = new Writer(mesh, FOUNDER);
    const [one, two] = [founder.transfer('A', 1n), new Writer(mesh, FOUNDER).transfer('B', 1n)];
    const behind = founder.transfer('A', 1n);
    const ledger = new Ledger(mesh);
    for (const entry of [one, behind]) ledger.add(entry);
    for (const attestation of certify(mesh, behind)) ledger.attest(attestation);
    expect(ledger.status(behind)).toBe('final');
    const said = ['W1', 'W2', 'W3'].map((witness) => attest(mesh, witness, two));
    for (const attestation of said.slice(0, 2)) expect(ledger.attest(attestation).result).toBe('old');
    ledger.noteFork(one, two);
    expect(ledger.attest(said[2]!).result).toBe('contradiction');
  });
});
