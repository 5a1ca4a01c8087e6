import { describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { encode } from '../../protocol/cbor.ts';
import type { LedgerAnswer, LedgerAsk, LedgerLine } from '../../protocol/ledger.ts';
import { account, attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { type Answering, IN_TURN, SmallLedgerMesh } from '../../testing/ledger/small-ledger-mesh.ts';
import { settle, VirtualClock } from '../../testing/virtual-clock.ts';
import type { AccountId, Entry } from '../entries/entry.ts';
import { fromHex, hexOf } from '../entries/fields.ts';

const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });
const sealed = (items: readonly { sealed: Uint8Array }[]) => items.map((item) => item.sealed);
const keyOf = (number: number) => new Uint8Array(Buffer.from(number.toString(16).padStart(64, '0'), 'hex'));
const someHash = new Uint8Array(32).fill(7);

function history() {
  const founder = new Writer(mesh, FOUNDER);
  const a = new Writer(mesh, 'A');
  const grant = founder.transfer('A', 1_000n);
  return { founder, a, grant, entries: [grant, a.accept(grant), a.transfer('B', 10n)] };
}

/** A node, an honest one that has something, and a liar. */
async function stage(answering: Answering) {
  const clock = new VirtualClock();
  const small = new SmallLedgerMesh(mesh, { clock, codec: IN_TURN });
  const node = await small.add('node');
  const honest = await small.add('honest');
  await honest.ingest.take({ entries: sealed(history().entries) }, 'x');
  small.addLiar('liar', answering);
  return { clock, small, node, honest };
}

/** An answer of nothing to whatever is asked. */
function nothing(type: string): LedgerAnswer {
  if (type === 'root') return { type, root: someHash, accounts: 1, entries: 1 };
  if (type === 'buckets') return { type, hashes: Array.from({ length: LEDGER.buckets }, () => someHash) };
  if (type === 'lines') return { type, lines: [], more: false };
  if (type === 'certificates') return { type: 'attestations', attestations: [], more: false };
  return { type: 'entries', entries: [], more: false };
}

/** Lets time pass until a sync has ended. */
async function ended<T>(clock: VirtualClock, promise: Promise<T>, stepMs = 1_000): Promise<T> {
  let result: { value: T } | undefined;
  void promise.then((value) => {
    result = { value };
  });
  for (let step = 0; step < 1_000 && result === undefined; step++) await clock.advance(stepMs);
  if (result === undefined) throw new Error('it never ends');
  return result.value;
}

describe('a peer that lies about its root', () => {
  it('costs a few questions, and less and less often', async () => {
    let asked = 0;
    const { node, clock } = await stage(async (ask) => {
      asked++;
      return nothing(ask.type);
    });
    expect(await ended(clock, node.sync.with('liar'))).toMatchObject({ taken: 0, isEqual: false });
    expect(asked).toBeLessThan(5);
    asked = 0;
    node.sync.start();
    for (let minute = 0; minute < 60; minute++) await clock.advance(60_000);
    await node.sync.stop();
    // Every 30 s at random, of two peers one rests: the liar is asked when it does not.
    expect(asked).toBeLessThan(60);
    expect(node.ingest.ledger.counts().entries).toBe(3);
  });
});

describe('a peer that makes up accounts', () => {
  it('is left when it has shown more than there can be, or they lead to nothing', async () => {
    let next = 0;
    let asked = 0;
    const { node, clock } = await stage(async (ask) => {
      asked++;
      if (ask.type !== 'lines') return nothing(ask.type);
      const lines = Array.from(
        { length: 1_500 },
        (): LedgerLine => [keyOf(next++), 5, someHash, 0, 0, new Uint8Array(0)],
      );
      return { type: 'lines', lines, more: true };
    });
    const { taken } = await ended(clock, node.sync.with('liar'), 100);
    expect(taken).toBe(0);
    expect(asked).toBeLessThan(4 * (LEDGER.maxLinesPerSync / 1_500));
    expect(node.ingest.waiting.size).toBe(0);
  });

  it('that come in no order is not believed', async () => {
    const line: LedgerLine = [keyOf(1), 5, someHash, 0, 0, new Uint8Array(0)];
    const { node, clock } = await stage(async (ask) =>
      ask.type === 'lines' ? { type: 'lines', lines: [line, line], more: true } : nothing(ask.type),
    );
    expect(await ended(clock, node.sync.with('liar'))).toMatchObject({ failed: { code: 'protocol_violation' } });
    expect(node.violations).toHaveLength(1);
  });
});

describe('a peer that answers nothing', () => {
  it('holds no sync with others up', async () => {
    const { node, clock } = await stage(async () => undefined);
    const silent = node.sync.with('liar');
    node.sync.onPeer('honest');
    await clock.advance(2 * LEDGER.syncStallMs);
    await settle();
    expect(node.ingest.ledger.counts().entries).toBe(3);
    expect(await ended(clock, silent)).toMatchObject({ failed: { code: 'peer_unreachable' } });
  });
});

describe('a peer that holds on to its turn', () => {
  /** @param author whose chain it says it has @param drip what it brings, one a second */
  async function withDripping(
    author: AccountId,
    drip: (ask: LedgerAsk, entries: readonly Entry[]) => LedgerAnswer | undefined,
  ) {
    const founder = new Writer(mesh, FOUNDER);
    const entries = Array.from({ length: 100 }, () => founder.transfer('C', 1n));
    const lines: LedgerLine[] = [[fromHex(author), 700, someHash, 0, 0, new Uint8Array(0)]];
    const staged = await stage(async (ask) => {
      if (ask.type === 'lines') return { type: 'lines', lines, more: false };
      const answer = drip(ask, entries);
      if (answer !== undefined) await new Promise<void>((resolve) => staged.clock.after(1_000, resolve));
      return answer ?? nothing(ask.type);
    });
    staged.node.sync.onPeer('liar');
    await staged.clock.advance(1);
    staged.node.sync.onPeer('honest');
    return staged;
  }
  const page = (entry: Entry): LedgerAnswer => ({ type: 'entries', entries: [entry.sealed], more: true });

  it('with what waits for ever, holds no sync with others up', async () => {
    let next = 99;
    const { node, clock } = await withDripping(account('A').id, (ask, entries) => {
      if (ask.type === 'chains')
        return { type: 'entries', entries: [new Writer(mesh, 'A').accept(entries[99]!).sealed], more: false };
      return ask.type === 'entries' ? page(entries[--next]!) : undefined;
    });
    for (let ms = 0; ms < 5_000; ms += 100) await clock.advance(100);
    expect(node.ingest.ledger.tip(account('A').id)).toBeDefined();
    await node.sync.stop();
  });

  it('with a little at a time, does not for long', async () => {
    const { node, clock } = await withDripping(mesh.founder, (ask, entries) =>
      ask.type === 'chains' ? page(entries[ask.from[0]?.[1] ?? 0]!) : undefined,
    );
    for (let ms = 0; ms < LEDGER.syncAloneMs + 2 * LEDGER.syncStallMs; ms += 100) await clock.advance(100);
    expect(node.ingest.ledger.tip(account('A').id)).toBeDefined();
    await node.sync.stop();
  });
});

describe('a peer whose answers break off', () => {
  it('is asked again at once when it had brought something', async () => {
    const clock = new VirtualClock();
    const small = new SmallLedgerMesh(mesh, { clock, codec: IN_TURN });
    const node = await small.add('node');
    const honest = await new SmallLedgerMesh(mesh, { clock, codec: IN_TURN }).add('honest');
    const founder = new Writer(mesh, FOUNDER);
    const entries = [1n, 2n, 3n].map((amount) => founder.transfer('A', amount));
    await honest.ingest.take({ entries: sealed(entries) }, 'x');
    let chains = 0;
    small.addLiar('weak', async (ask) => {
      const answer = await honest.serve.answer(ask);
      if (answer.type !== 'entries' || ask.type !== 'chains' || ++chains > 2) return answer;
      if (chains === 2) throw new GoGridError({ code: 'provider_lost', message: 'the stream is gone' });
      return { ...answer, entries: answer.entries.slice(0, 1), more: true };
    });
    node.sync.onPeer('weak');
    for (let ms = 0; ms < 2_000; ms += 100) await clock.advance(100);
    expect(chains).toBeGreaterThan(1);
    expect(node.ingest.ledger.counts().entries).toBe(3);
  });

  it('keeps one account from its certificates, and no other', async () => {
    const clock = new VirtualClock();
    const small = new SmallLedgerMesh(mesh, { clock, codec: IN_TURN });
    const node = await small.add('node');
    const honest = await new SmallLedgerMesh(mesh, { clock, codec: IN_TURN }).add('honest');
    const { entries, a, grant } = history();
    const attestations = sealed([...certify(mesh, grant), ...certify(mesh, a.tip!)]);
    await honest.ingest.take({ entries: sealed(entries), attestations }, 'x');
    const asked: number[] = [];
    small.addLiar('liar', async (ask) => {
      if (ask.type !== 'certificates') return honest.serve.answer(ask);
      asked.push(ask.from.length);
      return ask.from.length > 1 ? { type: 'attestations', attestations: [], more: true } : honest.serve.answer(ask);
    });
    await ended(clock, node.sync.with('liar'), 1);
    expect(asked).toEqual([2, 1]);
    const certified = [grant, a.tip!].filter((entry) => node.ingest.ledger.isCovered(entry));
    expect(certified).toHaveLength(1);
  });
});

describe('accounts that lead to nothing', () => {
  it('keep nobody from what is certified of the others', async () => {
    const writers = ['X', 'Y', 'Z'].map((name) => new Writer(mesh, name)).sort((a, b) => (a.id < b.id ? -1 : 1));
    const lines = writers.map(({ id }): LedgerLine => [fromHex(id), 0, someHash, 1, 0, new Uint8Array(0)]);
    // No log may begin so.
    const refused = new Map(writers.map((writer) => [writer.id, writer.transfer('A', 1n).sealed]));
    const asked: string[] = [];
    const { node, clock } = await stage(async (ask) => {
      asked.push(ask.type);
      if (ask.type === 'lines') return { type: 'lines', lines, more: false };
      if (ask.type !== 'chains') return nothing(ask.type);
      const [author] = ask.from[0] ?? [];
      const sealed = author && refused.get(hexOf(author));
      return { type: 'entries', entries: sealed === undefined ? [] : [sealed], more: true };
    });
    expect(await ended(clock, node.sync.with('liar'), 1)).toMatchObject({ taken: 0, isCut: true, failed: undefined });
    expect(asked.filter((type) => type === 'chains')).toHaveLength(3);
    expect(asked).toContain('certificates');
  });
});

describe('a node that asks', () => {
  it('asks no faster than its peer answers, however often it begins anew', async () => {
    const { node, clock } = await stage(async (ask) => nothing(ask.type));
    await ended(clock, node.sync.with('honest'), 1);
    const before = clock.elapsed();
    for (let count = 0; count < LEDGER.maxRequestsAtOnce + 100; count++) {
      await ended(clock, node.sync.with('honest'), 1);
    }
    const secs = (clock.elapsed() - before) / 1000;
    expect(node.traffic.asks).toBeLessThanOrEqual(LEDGER.maxRequestsAtOnce + secs * LEDGER.maxRequestsPerSecond);
  });
});

describe('a peer that sends what does not stand', () => {
  it('is left after a bounded number, and pays for each', async () => {
    const { founder } = history();
    const forged = Array.from({ length: 600 }, () => {
      const bytes = Uint8Array.from(founder.transfer('C', 1n).sealed);
      bytes[bytes.length - 1]! ^= 1;
      return bytes;
    });
    const lines: LedgerLine[] = [[fromHex(mesh.founder), 700, someHash, 0, 0, new Uint8Array(0)]];
    const { node, clock } = await stage(async (ask) => {
      if (ask.type === 'lines') return { type: 'lines', lines, more: false };
      if (ask.type === 'chains') return { type: 'entries', entries: forged, more: false };
      return nothing(ask.type);
    });
    // They begin at sequence 1, which was not asked for: the form alone gives it away.
    expect(await ended(clock, node.sync.with('liar'))).toMatchObject({ failed: { code: 'protocol_violation' } });
    const outcome = await node.ingest.take({ entries: forged }, 'liar');
    expect(outcome.bad).toBe(LEDGER.maxBadPerSync + 1);
    expect(node.ingest.ledger.counts().entries).toBe(0);
    expect(node.violations.length).toBeLessThanOrEqual(LEDGER.maxBadPerSync + 1);
  });
});

describe('a flood', () => {
  it('of entries whose past is missing fills the waiting room and no more', async () => {
    const small = new SmallLedgerMesh(mesh, { clock: new VirtualClock(), codec: IN_TURN });
    const node = await small.add('node');
    const { a, founder, entries } = history();
    const gap = Array.from({ length: LEDGER.maxWaitingPerAuthor + 500 }, () => a.transfer('B', 1n)).slice(1);
    const outcome = await node.ingest.take({ entries: sealed(gap) }, 'liar');
    expect(outcome.bad).toBe(0);
    expect(node.ingest.waiting.size).toBeLessThanOrEqual(LEDGER.maxWaitingPerAuthor);
    // Nobody else is kept out by it.
    const [grant] = entries;
    const forC = founder.transfer('C', 1n);
    const accept = new Writer(mesh, 'C').accept(forC);
    await node.ingest.take({ entries: sealed([grant!, forC, accept]) }, 'honest');
    expect(node.ingest.ledger.counts().entries).toBe(3);
  });

  it('of fresh keys costs each peer no more than it may show', async () => {
    const small = new SmallLedgerMesh(mesh, { clock: new VirtualClock(), codec: IN_TURN });
    const node = await small.add('node');
    const { grant } = history();
    const keys = LEDGER.maxNewKeysPerHint + 10;
    const hint = Array.from({ length: keys }, (_, index) => new Writer(mesh, `fresh ${index}`).accept(grant).sealed);
    expect(node.ingest.takeHint(encode([hint, []]), 'liar')).toBe('ignore');
    expect(node.ingest.waiting.size).toBe(LEDGER.maxNewKeysPerHint);
    expect(node.ingest.ledger.counts()).toEqual({ entries: 0, authors: 0 });
  });

  it('of entries of one author is taken in at its rate, unless witnesses have certified it', async () => {
    const clock = new VirtualClock();
    const small = new SmallLedgerMesh(mesh, { clock, codec: IN_TURN });
    const node = await small.add('node');
    const full = await small.add('full');
    const founder = new Writer(mesh, FOUNDER);
    const entries = Array.from({ length: LEDGER.maxBurstPerAuthor + 700 }, () => founder.transfer('A', 1n));
    await full.store.write({ entries }, true);
    const again = (await new SmallLedgerMesh(mesh, { clock, codec: IN_TURN }).add('full', full.store)).ingest;
    Object.assign(full, { ingest: again });
    const reloaded = new SmallLedgerMesh(mesh, { clock, codec: IN_TURN });
    const source = await reloaded.add('source', full.store);
    const other = await reloaded.add('other');
    expect(source.ingest.ledger.counts().entries).toBe(entries.length);

    await ended(clock, other.sync.with('source'), 1);
    expect(other.ingest.ledger.counts().entries).toBeGreaterThanOrEqual(LEDGER.maxBurstPerAuthor);
    expect(other.ingest.ledger.counts().entries).toBeLessThan(entries.length);
    await source.ingest.take({ attestations: sealed(certify(mesh, entries.at(-1)!)) }, 'x');
    await ended(clock, other.sync.with('source'), 1);
    expect(other.ingest.ledger.counts().entries).toBe(entries.length);
    expect(node.ingest.ledger.counts().entries).toBe(0);
  });

  it('of hints of one peer is heard at its rate', async () => {
    const small = new SmallLedgerMesh(mesh, { clock: new VirtualClock(), codec: IN_TURN });
    const node = await small.add('node');
    const founder = new Writer(mesh, FOUNDER);
    let taken = 0;
    for (let count = 0; count * 100 < LEDGER.maxBurstHinted + 1_000; count++) {
      const entries = Array.from({ length: 100 }, () => founder.transfer('A', 1n).sealed);
      if (node.ingest.takeHint(encode([entries, []]), 'liar') === 'accept') taken += 100;
    }
    expect(taken).toBe(LEDGER.maxBurstHinted);
  });
});

describe('witnesses that nobody knows', () => {
  it('attest nothing here', async () => {
    const { node } = await stage(async () => undefined);
    const { entries, grant } = history();
    await node.ingest.take({ entries: sealed(entries) }, 'x');
    const outcome = await node.ingest.take({ attestations: [attest(mesh, 'somebody', grant).sealed] }, 'liar');
    expect(outcome).toMatchObject({ taken: 0, bad: 0 });
    expect(node.ingest.ledger.status(grant)).toBe('stands');
    expect(account('somebody').id).not.toBe(mesh.witnesses[0]);
  });
});
