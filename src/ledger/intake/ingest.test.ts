/** What a node takes in of whom, and what it costs whom. */

import { describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { encode } from '../../protocol/cbor.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { account, attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { IN_TURN, TRUSTING } from '../../testing/ledger/small-ledger-mesh.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { LedgerStore } from '../ports.ts';
import { finalAt } from './final-chain.ts';
import { type Codec, Ingest } from './ingest.ts';
import { NEVER_FINAL } from './load.ts';

const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });
const sealed = (items: readonly { sealed: Uint8Array }[]) => items.map((item) => item.sealed);

async function stage(codec: Codec = TRUSTING, store: LedgerStore = new MemoryLedgerStore()) {
  const clock = new VirtualClock();
  const deps = { store, clock, log: silentLogger, pause: async () => {}, codec };
  const load = () => Ingest.load({ mesh }, deps);
  return { clock, store, load, ingest: await load() };
}

/** The founder pays A, who books it; `signed` as `Writer` has it. */
function begin(signed = false) {
  const founder = new Writer(mesh, FOUNDER, { signed });
  const a = new Writer(mesh, 'A', { signed });
  const grant = founder.transfer('A', 1_000n);
  return { founder, a, grant, entries: [grant, a.accept(grant)] };
}

const certificates = (...entries: Parameters<typeof certify>[1][]) =>
  sealed(entries.flatMap((entry) => certify(mesh, entry, { signed: false })));

describe('what an author may write', () => {
  it('is not used up by a peer who repeats what is final', async () => {
    const { ingest } = await stage();
    const { a, entries } = begin();
    const old = a.transfer('B', 1n);
    await ingest.take({ entries: sealed([...entries, old]), attestations: certificates(...entries, old) }, 'honest');
    expect(ingest.ledger.finalTip(a.id)?.sequence).toBe(1);
    const again = Array.from({ length: LEDGER.maxBurstPerAuthor + 100 }, () => old.sealed);
    const { limited } = await ingest.take({ entries: again }, 'liar');
    // It is the liar who is heard no more.
    expect([...limited]).toEqual([a.id]);
    expect(await ingest.take({ entries: [a.transfer('B', 2n).sealed] }, 'honest')).toMatchObject({ taken: 1 });
  });

  it('does not hold back what witnesses have certified, also when too many logs begin', async () => {
    const { ingest } = await stage();
    const { founder, entries } = begin();
    await ingest.take({ entries: sealed(entries) }, 'honest');
    for (let count = 0; count < LEDGER.maxBurstNewAuthors - 2; count++) {
      const grant = founder.transfer(`new ${count}`, 1n);
      const accept = new Writer(mesh, `new ${count}`, { signed: false }).accept(grant);
      await ingest.take({ entries: sealed([grant, accept]), attestations: certificates(grant) }, `peer ${count % 5}`);
    }
    const grants = ['late', 'certified'].map((name) => founder.transfer(name, 1n));
    const [late, certified] = ['late', 'certified'].map((name, index) =>
      new Writer(mesh, name, { signed: false }).accept(grants[index]!),
    );
    await ingest.take({ attestations: certificates(grants[1]!, certified!) }, 'honest');
    await ingest.take({ entries: sealed(grants) }, 'honest');
    const { limited } = await ingest.take({ entries: sealed([late!, certified!]) }, 'honest');
    expect([...limited]).toEqual([late!.author]);
    expect(ingest.ledger.finalTip(certified!.author)?.sequence).toBe(0);
  });

  it('and nobody certifies, is bounded', async () => {
    const { ingest, clock } = await stage();
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const entries = Array.from({ length: LEDGER.maxTailPerAuthor + 1 }, () => founder.transfer('A', 1n));
    for (let at = 0; at < entries.length; at += LEDGER.maxBurstPerAuthor) {
      const page = sealed(entries.slice(at, at + LEDGER.maxBurstPerAuthor));
      await ingest.take({ entries: page }, 'honest');
      await clock.advance((1_000 * LEDGER.maxBurstPerAuthor) / LEDGER.maxPerAuthorPerSecond);
    }
    const last = entries.at(-1)!;
    expect(ingest.ledger.counts().entries).toBe(LEDGER.maxTailPerAuthor);
    await ingest.take({ entries: [last.sealed], attestations: certificates(last) }, 'honest');
    await ingest.take({ entries: [last.sealed] }, 'honest');
    expect(ingest.ledger.finalTip(last.author)?.sequence).toBe(last.sequence);
  });
});

describe('a hint', () => {
  it('costs no more than a few new keys, also those of payers', async () => {
    const { ingest } = await stage(IN_TURN);
    const { a, entries } = begin(true);
    await ingest.take({ entries: sealed(entries) }, 'honest');
    const claims = Array.from({ length: 60 }, (_, index) =>
      a.claim(new Writer(mesh, `payer ${index}`).hold(['A', 5n]), 5n),
    );
    expect(ingest.takeHint(encode([sealed(claims), []]), 'liar')).toBe('ignore');
    expect(ingest.waiting.size).toBe(LEDGER.maxNewKeysPerHint);
    // Of one payer any number: its key is checked once.
    const payer = new Writer(mesh, 'one payer');
    const more = Array.from({ length: 20 }, () => a.claim(payer.hold(['A', 5n]), 5n));
    ingest.takeHint(encode([sealed(more), []]), 'honest');
    expect(ingest.waiting.size).toBe(LEDGER.maxNewKeysPerHint + 20);
  });

  it('is not passed on for a little that is new among much that all have, and that is what it costs', async () => {
    const { ingest } = await stage();
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const known = sealed(Array.from({ length: 90 }, () => founder.transfer('A', 1n)));
    const fresh = (count: number) => sealed(Array.from({ length: count }, () => founder.transfer('A', 1n)));
    expect(ingest.takeHint(encode([known, []]), 'honest')).toBe('accept');
    expect(ingest.takeHint(encode([[...known, ...fresh(1)], []]), 'forwarder')).toBe('ignore');
    expect(ingest.ledger.counts().entries).toBe(91);
    const half = fresh(5);
    expect(ingest.takeHint(encode([[...known.slice(0, 5), ...half], []]), 'forwarder')).toBe('accept');
    // As often as what it repeated would have used up its rate, were it counted.
    for (let count = 0; count * 90 < LEDGER.maxBurstHinted; count++) ingest.takeHint(encode([known, []]), 'forwarder');
    expect(ingest.takeHint(encode([fresh(1), []]), 'forwarder')).toBe('accept');
  });

  it('with attestations of keys that are no witness here counts for nothing, and costs its sender nothing', async () => {
    const { ingest } = await stage(IN_TURN);
    const { grant } = begin(true);
    const strange = attest(mesh, 'W9', grant).sealed;
    expect(ingest.takeHint(encode([[grant.sealed], [strange]]), 'peer')).toBe('ignore');
    expect(await ingest.take({ attestations: [strange] }, 'peer')).toMatchObject({ taken: 0, waiting: 0, bad: 0 });
    expect(ingest.ledger.status(grant)).toBe('stands');
    expect(ingest.takeHint(encode([[], [new Uint8Array(100)]]), 'peer')).toBe('reject');
  });
});

describe('the state on the disk', () => {
  it('is saved at the end of a run that began without one, and when more was final than in the one before', async () => {
    const { ingest, store, load } = await stage();
    const { a, entries } = begin();
    // As a crash leaves it: entries and attestations, and no saved state.
    await store.write({ entries, attestations: entries.flatMap((entry) => certify(mesh, entry)) }, true);
    await ingest.stop();
    expect(await store.snapshot()).toBeUndefined();
    const second = await load();
    await second.stop();
    const saved = await store.snapshot();
    expect(saved).toEqual(second.ledger.finalBooks().encode());
    const next = a.transfer('B', 1n);
    await store.write({ entries: [next], attestations: certify(mesh, next) }, true);
    await (await load()).stop();
    expect(await store.snapshot()).not.toEqual(saved);
  });

  it('is saved at the end when it could not be saved before', async () => {
    let isFull = false;
    const full = new GoGridError({ code: 'disk_full', message: 'full' });
    const store = new MemoryLedgerStore({ delay: async () => (isFull ? Promise.reject(full) : undefined) });
    const { ingest, clock } = await stage(TRUSTING, store);
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const entries = Array.from({ length: LEDGER.maxBurstPerAuthor }, () => founder.transfer('A', 1n));
    const more = Array.from({ length: LEDGER.maxBurstPerAuthor / 2 }, () => founder.transfer('A', 1n));
    await ingest.take({ entries: sealed(entries) }, 'honest');
    await ingest.flushed();
    await clock.advance(1_000_000);
    isFull = true;
    await ingest.take({ attestations: certificates(...entries) }, 'honest');
    // What was taken in since is enough for a snapshot, which the disk refuses.
    await ingest.take({ entries: sealed(more), attestations: certificates(...more) }, 'honest');
    await expect(ingest.flushed()).rejects.toMatchObject({ code: 'disk_full' });
    expect(await store.snapshot()).toBeUndefined();
    isFull = false;
    await ingest.stop();
    expect(await store.snapshot()).toEqual(ingest.ledger.finalBooks().encode());
  });

  it('that has two certificates against each other is found out at the start', async () => {
    const { store, load } = await stage();
    const { founder, grant } = begin();
    const other = founder.behind(undefined).transfer('B', 1n);
    const attestations = [grant, other].flatMap((entry) => certify(mesh, entry));
    await store.write({ entries: [grant, other], attestations }, true);
    const ingest = await load();
    expect(ingest.ledger.finalTip(mesh.founder)).toBeUndefined();
    expect([ingest.ledger.status(grant), ingest.ledger.status(other)]).toEqual(['fallen', 'fallen']);
    expect(await store.notes.get(NEVER_FINAL)).toBeDefined();
  });

  it('may have proofs of forks that are damaged: they go, and the start goes on', async () => {
    const store = new MemoryLedgerStore();
    const { ingest, load } = await stage(TRUSTING, store);
    const { a, founder, entries } = begin();
    const other = a.behind(undefined).accept(founder.transfer('A', 1n));
    await ingest.take({ entries: sealed([...entries, founder.tip!, other]) }, 'honest');
    await ingest.take({ attestations: certificates(...entries) }, 'honest');
    await ingest.stop();
    const good = `ledger-fork/${a.id}`;
    expect(await store.notes.get(good)).toBeDefined();
    const bad = [`ledger-fork/${account('B').id}`, `ledger-fork/${account('C').id}`, 'ledger-fork/x'];
    await store.notes.put(bad.map((key) => [key, key === 'ledger-fork/x' ? encode([1, a.id, 3]) : Uint8Array.of(9)]));
    const broken = `ledger-fork/${account('D').id}`;
    let isThere = true;
    const { notes: real } = store;
    const notes: LedgerStore['notes'] = {
      get: (key) => real.get(key),
      async *list(prefix) {
        if (isThere) throw new GoGridError({ code: 'damaged', message: 'a bit has flipped', data: { note: broken } });
        yield* real.list(prefix);
      },
      put: async (changes) => {
        if (changes.some(([key, value]) => key === broken && value === undefined)) isThere = false;
        await real.put(changes);
      },
    };
    Object.assign(store, { notes });
    const again = await load();
    expect(again.ledger.forks()).toHaveLength(1);
    for (const key of bad) expect(await store.notes.get(key)).toBeUndefined();
    expect((await load()).ledger.forks()).toHaveLength(1);
  });
});

describe('entries of final places', () => {
  it('are not looked for through forks without end', async () => {
    const store = new MemoryLedgerStore();
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const chain = Array.from({ length: 1_000 }, () => founder.transfer('A', 1n));
    const others = chain.map((entry, at) => founder.behind(chain[at - 1]).transfer('B', BigInt(entry.sequence + 2)));
    await store.write({ entries: [...chain, ...others] }, true);
    let read = 0;
    const counted: Pick<LedgerStore, 'chain'> = {
      async *chain(...where) {
        for await (const stored of store.chain(...where)) {
          read++;
          yield stored;
        }
      },
    };
    expect(await finalAt(counted, mesh, chain.at(-1)!, 0)).toBeUndefined();
    expect(read).toBeLessThan(2 * LEDGER.maxUnclearPlaces + 10);
    expect((await finalAt(counted, mesh, chain.at(-1)!, 900))?.id).toBe(chain[900]!.id);
  });
});
