import { describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { account, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { type WholeNode, WholeNodes } from '../../testing/ledger/whole-nodes.ts';
import type { LedgerBatch } from '../ports.ts';
import { TransferRequests } from './requests.ts';

const A = account('A').id;

async function founderAnd(...names: string[]) {
  const net = new WholeNodes(meshOf({ genesis: 1_000n }));
  const founder = await net.start(FOUNDER, { fresh: true });
  const others: WholeNode[] = [];
  for (const name of names) others.push(await net.start(name, { fresh: true }));
  return { net, founder, others };
}

const pay = (node: WholeNode, to: string, amount = 1n) =>
  node.author.transfer({ to: account(to).id, amount, memo: '' });

describe('an own entry', () => {
  it('is on disk when it resolves, and follows the one before', async () => {
    const { founder } = await founderAnd();
    const [first, second] = await Promise.all([pay(founder, 'A', 10n), pay(founder, 'A', 20n)]);
    expect(first).toMatchObject({ sequence: 0, author: founder.self });
    expect(second).toMatchObject({ sequence: 1, previous: first?.id });
    const disk = founder.store.crash();
    expect(await disk.entry(second!)).toEqual(second?.sealed);
    expect(founder.author.head()).toMatchObject({ sequence: 1 });
  });

  it('is refused for what is not there, naming both amounts', async () => {
    const { founder } = await founderAnd();
    await expect(pay(founder, 'A', 1_500_000n)).rejects.toMatchObject({
      code: 'insufficient_credits',
      message:
        'a transfer of 1.5 credits (1500000 microcredits) is more than what is available, 0.001 credits (1000 microcredits)',
    });
    const [first, second] = await Promise.allSettled([pay(founder, 'A', 600n), pay(founder, 'A', 600n)]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'insufficient_credits' } });
    expect(founder.ingest.ledger.available(founder.self).available).toBe(400n);
  });

  it.each([
    { why: 'to is no account', transfer: { to: 'x', amount: 1n, memo: '' } },
    { why: 'to is no account', transfer: { to: A.toUpperCase(), amount: 1n, memo: '' } },
    { why: 'amount is 0', transfer: { to: A, amount: 0n, memo: '' } },
    { why: 'memo has 130 bytes', transfer: { to: A, amount: 1n, memo: 'ä'.repeat(65) } },
    { why: 'memo begins with a byte order mark', transfer: { to: A, amount: 1n, memo: '\ufeffx' } },
    { why: 'memo is not well-formed', transfer: { to: A, amount: 1n, memo: 'x\ud800' } },
  ])('is refused when it is no transfer: $why', async ({ transfer, why }) => {
    const { founder } = await founderAnd();
    await expect(founder.author.transfer(transfer)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(why),
      hint: expect.any(String),
      data: { field: why.split(' ')[0] },
    });
    await expect(founder.author.transfer({ to: founder.self, amount: 1n, memo: '' })).rejects.toThrow('itself');
    expect(founder.ingest.ledger.counts().entries).toBe(0);
  });

  it('is taken back by whom it is told before it is written', async () => {
    const { founder } = await founderAnd();
    const told: number[] = [];
    const order = { to: A, amount: 1n, memo: '' };
    const refuse = () => Promise.reject(new GoGridError({ code: 'disk_full', message: 'no room for the note' }));
    await expect(founder.author.transfer(order, refuse)).rejects.toThrow('no room for the note');
    await founder.author.transfer(order, async ({ sequence }) => void told.push(sequence));
    expect(told).toEqual([0]);
    expect(founder.ingest.ledger.counts().entries).toBe(1);
  });

  it('is refused where there are no credits', async () => {
    const net = new WholeNodes(meshOf({ genesis: 0n }));
    const node = await net.start(FOUNDER, { fresh: true });
    await expect(pay(node, 'A')).rejects.toMatchObject({ code: 'no_credits' });
  });

  it('waits for the ones before when the node stops, and none follows', async () => {
    const { net, founder } = await founderAnd();
    const written = pay(founder, 'A');
    const stopped = net.stop(founder);
    expect((await written).sequence).toBe(0);
    await stopped;
    await expect(pay(founder, 'A')).rejects.toMatchObject({ code: 'shutting_down' });
  });
});

describe('a disk that refuses', () => {
  /** The next write fails; what it wrote may be there all the same. */
  async function withDisk() {
    let fails: 'before' | 'after' | undefined;
    const store = new MemoryLedgerStore();
    const write = store.write.bind(store);
    store.write = async (batch, durable) => {
      const how = batch.entries === undefined || batch.entries.length === 0 ? undefined : fails;
      if (how === 'before') throw new GoGridError({ code: 'disk_full', message: 'full' });
      await write(batch, durable);
      if (how === 'after') throw new GoGridError({ code: 'disk_full', message: 'full' });
    };
    const net = new WholeNodes(meshOf());
    const founder = await net.start(FOUNDER, { fresh: true, store });
    const fail = (how: typeof fails) => {
      fails = how;
    };
    return { founder, fail };
  }

  it('that wrote nothing leaves the place free', async () => {
    const { founder, fail } = await withDisk();
    fail('before');
    await expect(pay(founder, 'A', 5n)).rejects.toMatchObject({
      code: 'disk_full',
      hint: expect.stringContaining('history'),
    });
    fail(undefined);
    expect(await pay(founder, 'A', 7n)).toMatchObject({ sequence: 0 });
    expect(founder.ingest.ledger.available(founder.self).available).toBe(993n);
  });

  it('that wrote it all the same makes nobody sign a second entry for its place', async () => {
    const { founder, fail } = await withDisk();
    fail('after');
    await expect(pay(founder, 'A', 5n)).rejects.toMatchObject({ code: 'disk_full' });
    fail(undefined);
    expect(await pay(founder, 'A', 7n)).toMatchObject({ sequence: 1 });
    expect(founder.ingest.ledger.available(founder.self).available).toBe(988n);
    expect(await founder.store.idsAt(founder.self, 0)).toHaveLength(1);
  });
});

describe('an entry of which nobody knows whether the disk has it', () => {
  /** As the real disk does it: what failed is seen only after a write that went well. */
  async function withLog() {
    let fails = false;
    const hidden: LedgerBatch[] = [];
    const store = new MemoryLedgerStore();
    const write = store.write.bind(store);
    store.write = async (batch, durable) => {
      if (!fails || batch.entries === undefined) return write(batch, durable);
      hidden.push(batch);
      throw new GoGridError({ code: 'disk_full', message: 'full' });
    };
    const put = store.notes.put.bind(store.notes);
    store.notes.put = async (changes) => {
      if (fails && hidden.length > 0) throw new GoGridError({ code: 'disk_full', message: 'full' });
      for (const batch of hidden.splice(0)) await write(batch, true);
      return put(changes);
    };
    const net = new WholeNodes(meshOf());
    const founder = await net.start(FOUNDER, { fresh: true, store });
    const requests = await TransferRequests.load({
      notes: store.notes,
      clock: net.clock,
      transfer: (order, beforeWrite) => founder.author.transfer(order, beforeWrite),
      settled: () => founder.author.settled(),
      isThere: async (name) =>
        founder.ingest.ledger.find(name.id) !== undefined || (await store.entry(name)) !== undefined,
    });
    const fail = (now: boolean) => {
      fails = now;
    };
    return { net, founder, requests, fail };
  }
  const order = { to: A, amount: 100n, memo: '' };

  it('is not signed a second time when its request comes again', async () => {
    const { founder, requests, fail } = await withLog();
    fail(true);
    await expect(requests.make(order, 'one')).rejects.toMatchObject({ code: 'disk_full' });
    fail(false);
    expect(await requests.make(order, 'one')).toMatchObject({ repeated: true, name: { sequence: 0 } });
    expect(founder.ingest.ledger.available(founder.self).available).toBe(900n);
  });

  it('is looked for again by itself', async () => {
    const { net, founder, requests, fail } = await withLog();
    fail(true);
    await expect(requests.make(order, 'one')).rejects.toMatchObject({ code: 'disk_full' });
    await net.clock.advance(LEDGER.writeAgainMs);
    expect(founder.ingest.ledger.counts().entries).toBe(0);
    fail(false);
    await net.until(() => founder.ingest.ledger.counts().entries === 1, 2 * LEDGER.writeAgainMs);
    expect(founder.author.head()).toMatchObject({ sequence: 0 });
  });
});

describe('a start', () => {
  it('that learns of a newer own entry while another waits for its note signs that one anew', async () => {
    const { net, founder, others } = await founderAnd('A', 'B');
    const first = await pay(founder, 'A', 1n);
    await net.until(() => others.every(({ ingest }) => ingest.ledger.find(first.id) !== undefined));
    const backup = await copyOf(founder.store);
    const [a, b] = others;
    net.cut(founder, a!);
    net.cut(founder, b!);
    const last = await pay(founder, 'A', 2n);
    await net.stop(founder);
    net.heal();
    const restored = await net.start(FOUNDER, { store: backup });
    await net.until(() => restored.author.state().state === 'ready');
    const told: number[] = [];
    const entry = await restored.author.transfer({ to: A, amount: 5n, memo: '' }, async ({ sequence }) => {
      told.push(sequence);
      if (told.length > 1) return;
      await restored.ingest.take({ entries: [last.sealed] }, a!.id);
      await net.until(() => restored.author.state().state === 'ready');
    });
    expect(told).toEqual([1, 2]);
    expect(entry).toMatchObject({ sequence: 2, previous: last.id });
    expect(restored.ingest.ledger.forks()).toEqual([]);
  });

  it('that ends while it asks ends at once', async () => {
    const { net, founder, others } = await founderAnd('A');
    await net.stop(founder);
    others[0]!.serve.answer = () => new Promise(() => {});
    const again = await net.start(FOUNDER, { store: founder.store });
    await net.clock.advance(10);
    await net.stop(again);
    expect(net.clock.elapsed()).toBeLessThan(LEDGER.askHeadMs);
  });

  it('signs nothing while there is no peer, and says when to come back', async () => {
    const net = new WholeNodes(meshOf());
    const founder = await net.start(FOUNDER);
    await net.clock.advance(60_000);
    expect(founder.author.state()).toMatchObject({ state: 'starting', reason: expect.stringContaining('no peer') });
    await expect(pay(founder, 'A')).rejects.toMatchObject({
      code: 'ledger_not_ready',
      retryAfterSecs: LEDGER.notReadyRetrySecs,
    });
    await net.start('A', { fresh: true });
    await net.until(() => founder.author.state().state === 'ready', 1_000);
    expect(await pay(founder, 'A')).toMatchObject({ sequence: 0 });
  });

  it('goes on behind the newest entry that anybody has: a restored backup', async () => {
    const { net, founder, others } = await founderAnd('A', 'B');
    await pay(founder, 'A', 10n);
    await net.until(() => others.every(({ ingest }) => ingest.ledger.counts().entries > 0));
    const backup = await copyOf(founder.store);
    const last = await pay(founder, 'B', 20n);
    await net.until(() =>
      others.every(({ ingest }) => ingest.ledger.find(last.id) !== undefined || ingest.ledger.status(last) === 'final'),
    );
    await net.stop(founder);
    const restored = await net.start(FOUNDER, { store: backup });
    await net.until(() => restored.author.state().state === 'ready');
    expect(await pay(restored, 'A')).toMatchObject({ sequence: 2, previous: last.id });
    expect(restored.ingest.ledger.forks()).toEqual([]);
  });

  it('waits no longer than five seconds for who does not answer', async () => {
    const { net, founder, others } = await founderAnd('A', 'B');
    await net.stop(founder);
    const [a] = others;
    a!.serve.answer = () => new Promise(() => {});
    const again = await net.start(FOUNDER, { store: founder.store });
    await net.until(() => again.author.state().state === 'ready', LEDGER.askHeadMs + 100);
    expect(net.clock.elapsed()).toBeGreaterThanOrEqual(LEDGER.askHeadMs);
  });

  it('does not take the silence of everybody for an answer', async () => {
    const { net, founder, others } = await founderAnd('A');
    await net.stop(founder);
    others[0]!.serve.answer = () => new Promise(() => {});
    const again = await net.start(FOUNDER, { store: founder.store });
    await net.clock.advance(30_000);
    expect(again.author.state().state).toBe('starting');
  });

  it('goes on behind its own entry that had not left before a crash, and sends it', async () => {
    const { net, founder, others } = await founderAnd('A');
    net.cut(founder, others[0]!);
    const entry = await pay(founder, 'A', 10n);
    const store = net.crash(founder);
    net.heal();
    const again = await net.start(FOUNDER, { store });
    await net.until(() => again.author.state().state === 'ready');
    expect(again.author.head()).toMatchObject({ id: entry.id });
    await net.until(() => others[0]!.ingest.ledger.tip(founder.self)?.id === entry.id, 1_000);
    expect(await pay(again, 'A')).toMatchObject({ sequence: 1 });
  });
});

describe('a key that is in use elsewhere', () => {
  it('stops signing when an entry comes that it did not write, and keeps that in mind', async () => {
    const { net, founder, others } = await founderAnd('A');
    await pay(founder, 'A');
    const foreign = new Writer(net.mesh, FOUNDER, {
      behind: founder.ingest.ledger.find(founder.author.head()!.id),
    }).transfer('B', 5n);
    await founder.ingest.take({ entries: [foreign.sealed] }, others[0]!.id);
    expect(founder.author.state()).toMatchObject({
      state: 'stopped',
      reason: 'entry 1 of this account was written elsewhere',
    });
    await expect(pay(founder, 'A')).rejects.toMatchObject({ code: 'ledger_stopped' });
    await net.stop(founder);
    // After the next start it asks, also with a key that says that it is new, and goes on behind what is there.
    const again = await net.start(FOUNDER, { store: founder.store, fresh: true });
    expect(again.author.state().state).toBe('starting');
    await net.until(() => again.author.state().state === 'ready');
    expect(await pay(again, 'A')).toMatchObject({ sequence: 2, previous: foreign.id });
  });

  it('stops when its log is forked, and stays stopped while no certificate picks a branch', async () => {
    const mesh = meshOf({ witnesses: 4, genesis: 1_000n });
    const net = new WholeNodes(mesh);
    const founder = await net.start(FOUNDER, { fresh: true });
    const a = await net.start('A', { fresh: true });
    await pay(founder, 'A');
    const foreign = new Writer(mesh, FOUNDER).transfer('B', 5n);
    await founder.ingest.take({ entries: [foreign.sealed] }, a.id);
    expect(founder.author.state()).toMatchObject({
      state: 'stopped',
      reason: 'there are two entries 0 of this account',
    });
    await net.stop(founder);
    const again = await net.start(FOUNDER, { store: founder.store });
    await net.until(() => again.author.state().state === 'stopped', 20_000);
    expect(again.author.state().reason).toContain('no certificate');
  });

  it('counts what a second peer has, within the time of asking, as an answer to the start', async () => {
    const { net, founder, others } = await founderAnd('A', 'B');
    const [a, b] = others;
    await pay(founder, 'B');
    await net.until(() => others.every(({ ingest }) => ingest.ledger.tip(founder.self)?.sequence === 0));
    const backup = await copyOf(founder.store);
    net.cut(a!, founder);
    net.cut(a!, b!);
    const late = await pay(founder, 'B');
    await net.until(() => b!.ingest.ledger.tip(founder.self)?.id === late.id);
    await net.stop(founder);
    net.cut(b!, founder);
    net.heal();
    net.cut(b!, founder);
    const restored = await net.start(FOUNDER, { store: backup });
    await net.until(() => restored.author.state().state === 'ready', 1_000);
    net.heal();
    await net.until(() => restored.author.head()?.id === late.id, 3_000);
    expect(restored.author.state().state).toBe('ready');
  });
});

/** What lies on the disk now, as a backup. */
async function copyOf(store: MemoryLedgerStore): Promise<MemoryLedgerStore> {
  const copy = new MemoryLedgerStore();
  for await (const author of store.authors()) {
    for await (const entry of store.chain(author, 0)) await copy.write({ entries: [entry] }, true);
    for await (const attestation of store.attestations(author, 0))
      await copy.write({ attestations: [attestation] }, true);
  }
  for await (const [key, value] of store.notes.list('')) await copy.notes.put([[key, value]]);
  return copy;
}
