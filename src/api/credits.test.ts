/** The credits and the ledger as the API tells of them, with the real ledger behind. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  balance as balanceSchema,
  creditHistory,
  creditSummary,
  exportLine,
  ledgerEntries,
  ledgerHead,
  ledgerVerification,
  transferAnswer,
} from '../contract/credits.ts';
import { auditExport } from '../ledger/audit/audit-export.ts';
import type { Entry } from '../ledger/entries/entry.ts';
import { accountText } from '../ledger/entries/readable.ts';
import { account, attest, certify, FOUNDER, Writer } from '../testing/ledger/authors.ts';
import { ask, type SmallApi, smallApi, testKey, testPeer, testRuntime } from '../testing/small-api.ts';
import { type SmallLedger, type SmallLedgerOptions, smallLedger } from '../testing/small-ledger.ts';

const peerOf = (name: string) => accountText(account(name).id);
const headers = { authorization: `Bearer ${testKey}` };

let small: SmallApi | undefined;
let node: SmallLedger | undefined;
afterEach(async () => {
  await small?.api.stop(0);
  await node?.stop();
  small = undefined;
  node = undefined;
});

/** The node of `A`, beside which there is one called kitchen, of `B`. */
async function start(options: SmallLedgerOptions = {}): Promise<SmallLedger> {
  node = await smallLedger({ names: new Map([[peerOf('B'), 'kitchen']]), ...options });
  const peers = [
    { ...testPeer, peerId: peerOf('B'), name: 'kitchen' },
    { ...testPeer, peerId: peerOf('C'), name: 'attic' },
    { ...testPeer, peerId: peerOf('D'), name: 'Attic' },
  ];
  const identity = { ...testRuntime.identity(), peerId: peerOf('A') };
  const runtime = { ...testRuntime, peers: () => peers, identity: () => identity };
  small = await smallApi({}, { credits: node.credits, ledger: node.ledger, events: node.events, runtime });
  return node;
}

async function call(path: string, body?: unknown) {
  if (small === undefined) throw new Error('not started');
  const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const { status, text } = await ask(small.port, path, { headers, ...sent });
  return { status, body: JSON.parse(text) as Record<string, unknown> };
}

/** The founder gives A 500 credits, which A books; all of it final. */
async function funded(ledger: SmallLedger, amount = 500_000_000n): Promise<{ founder: Writer; grant: Entry }> {
  const founder = new Writer(ledger.mesh, FOUNDER);
  const grant = founder.transfer('A', amount, 'grant');
  await ledger.take(grant, ...certify(ledger.mesh, grant));
  const accepted = await ledger.author.accept(grant);
  await ledger.take(...certify(ledger.mesh, accepted));
  return { founder, grant };
}

describe('GET /credits/balance', () => {
  it('adds up to the genesis amount over all accounts', async () => {
    const ledger = await start();
    await funded(ledger);
    await call('/credits/transfer', { to: peerOf('B'), amountMicrocredits: '1500000' });
    await ledger.author.hold([{ payee: account('B').id, max: 20_000_000n }]);
    const { body } = await call('/credits/balance');
    expect(balanceSchema.parse(body)).toEqual({
      account: peerOf('A'),
      availableMicrocredits: '478500000',
      finalMicrocredits: '478500000',
      reservedMicrocredits: '20000000',
      promisedMicrocredits: '1500000',
      pendingMicrocredits: '0',
    });
  });

  it('tells what is on its way, and what of it is not final yet', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const more = founder.transfer('A', 7n);
    await ledger.take(more);
    expect((await call('/credits/balance')).body).toMatchObject({ pendingMicrocredits: '7' });
    await ledger.author.accept(more);
    expect((await call('/credits/balance')).body).toMatchObject({
      availableMicrocredits: '500000007',
      finalMicrocredits: '500000000',
      pendingMicrocredits: '0',
    });
  });
});

describe('POST /credits/transfer', () => {
  it('answers with the entry and its state, which is final once witnesses have attested it (G61, E15)', async () => {
    const ledger = await start();
    await funded(ledger);
    const { status, body } = await call('/credits/transfer', {
      to: 'kitchen',
      amountMicrocredits: '1500000',
      memo: 'thanks',
    });
    expect(status).toBe(200);
    const sent = transferAnswer.parse(body);
    expect(sent).toMatchObject({
      kind: 'transfer',
      party: peerOf('B'),
      partyName: 'kitchen',
      amountMicrocredits: '-1500000',
      memo: 'thanks',
      state: 'stands',
      open: true,
      repeated: false,
      name: { author: peerOf('A'), sequence: 1 },
    });
    const entry = ledger.ingest.ledger.find(sent.name.id);
    if (entry === undefined) throw new Error('not in the ledger');
    await ledger.take(...certify(ledger.mesh, entry));
    const history = creditHistory.parse((await call('/credits/history')).body);
    expect(history.entries[0]).toEqual({ ...withoutRepeated(sent), state: 'final' });
  });

  it('with a requestId is made once, whatever comes between, a restart too', async () => {
    const ledger = await start();
    await funded(ledger);
    const order = { to: peerOf('B'), amountMicrocredits: '5', requestId: 'try-1' };
    const answers = await Promise.all([call('/credits/transfer', order), call('/credits/transfer', order)]);
    expect(answers.map(({ body }) => body.repeated).toSorted()).toEqual([false, true]);
    const first = transferAnswer.parse(answers[0]?.body);
    expect((await call('/credits/transfer', { ...order, requestId: 'try-2' })).body).toMatchObject({ repeated: false });
    expect((await call('/credits/transfer', { ...order, amountMicrocredits: '6' })).body).toMatchObject({
      error: { code: 'invalid_request', message: expect.stringContaining('try-1') },
    });

    const { store } = ledger;
    await small?.api.stop(0);
    await ledger.stop();
    const again = await start({ store });
    // It does not know yet where its log ends, and so would sign nothing.
    expect(again.author.state()).toMatchObject({ state: 'starting' });
    const repeated = transferAnswer.parse((await call('/credits/transfer', order)).body);
    expect(repeated).toMatchObject({ repeated: true, name: first.name });
    expect((await call('/credits/balance')).body).toMatchObject({ promisedMicrocredits: '10' });
  });

  it.each([
    [{ to: peerOf('B') }, 400, 'invalid_request', /^amountMicrocredits/],
    [{ to: peerOf('B'), amountMicrocredits: 5 }, 400, 'invalid_request', /^amountMicrocredits/],
    [{ to: peerOf('B'), amountMicrocredits: '0' }, 400, 'invalid_request', /^amountMicrocredits/],
    [{ to: peerOf('B'), amountMicrocredits: '-5' }, 400, 'invalid_request', /^amountMicrocredits/],
    [{ to: peerOf('B'), amountMicrocredits: '1.5' }, 400, 'invalid_request', /^amountMicrocredits/],
    [{ to: peerOf('B'), amountMicrocredits: '5', memo: 'é'.repeat(65) }, 400, 'invalid_request', /^memo/],
    [{ to: peerOf('B'), amountMicrocredits: '5', memo: '\ud800' }, 400, 'invalid_request', /^memo/],
    [
      { to: peerOf('B'), amountMicrocredits: '5', memo: '\ufeffx' },
      400,
      'invalid_request',
      /^memo: begins with a byte/,
    ],
    [{ to: peerOf('B'), amountMicrocredits: '5', requestId: 'two words' }, 400, 'invalid_request', /^requestId/],
    [{ to: peerOf('A'), amountMicrocredits: '5' }, 400, 'invalid_request', /^to: that is this node/],
    [{ to: 'testbox', amountMicrocredits: '5' }, 400, 'invalid_request', /^to: that is this node/],
    [{ to: peerOf('B'), amountMicrocredits: '5', Memo: 'x' }, 400, 'invalid_request', /^Memo: there is no such field/],
    [{ to: peerOf('Z'), amountMicrocredits: '5' }, 404, 'peer_not_found', /^to: 12D3KooW\w+ is unknown here/],
    [{ to: 'attic', amountMicrocredits: '5' }, 400, 'invalid_request', /^to: 'attic' may be more than one/],
    [{ to: 'Kitchen', amountMicrocredits: '5' }, 400, 'invalid_request', /^to: 'Kitchen' may be another/],
    [{ to: 'cellar', amountMicrocredits: '5' }, 404, 'peer_not_found', /cellar/],
    [{ to: peerOf('B'), amountMicrocredits: '500000001' }, 402, 'insufficient_credits', /500/],
  ])('%j is refused', async (order, status, code, message) => {
    await funded(await start());
    const answer = await call('/credits/transfer', order);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ error: { code, message: expect.stringMatching(message) } });
    expect((await call('/credits/balance')).body).toMatchObject({ availableMicrocredits: '500000000' });
  });
});

describe('an id with a mistyped letter', () => {
  const mistyped = (id: string) => `${id.slice(0, 20)}${id[20] === 'x' ? 'y' : 'x'}${id.slice(21)}`;
  const order = { amountMicrocredits: '5' };

  it.each([
    ['a machine that is here', 'B'],
    ['an account of the ledger', 'C2'],
    ['a witness', 'W3'],
  ])('is taken for %s, and nothing is sent', async (_, name) => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const gift = founder.transfer('C2', 5n);
    await ledger.take(gift, new Writer(ledger.mesh, 'C2').accept(gift));
    const { status, body } = await call('/credits/transfer', { ...order, to: mistyped(peerOf(name)) });
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: 'peer_not_found', hint: expect.stringContaining(peerOf(name)) } });
    expect((await call('/credits/balance')).body).toMatchObject({ promisedMicrocredits: '0' });
  });

  it('is sent to when the order says so, and known from then on; so are those of whom there is an entry', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const e = new Writer(ledger.mesh, 'E');
    const gift = founder.transfer('E', 5n);
    await ledger.take(gift, e.accept(gift));
    for (const to of [peerOf('E'), peerOf(FOUNDER), peerOf('W4')]) {
      expect((await call('/credits/transfer', { ...order, to })).status).toBe(200);
    }
    const to = mistyped(peerOf('B'));
    expect((await call('/credits/transfer', { ...order, to, unknownAccount: false })).status).toBe(404);
    expect((await call('/credits/transfer', { ...order, to, unknownAccount: true })).status).toBe(200);
    expect((await call('/credits/transfer', { ...order, to })).status).toBe(200);
  });
});

describe('GET /credits/history', () => {
  it('tells newest first what came and went, with whom, and what became of it (G61)', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const b = new Writer(ledger.mesh, 'B');
    const seed = founder.transfer('B', 100_000_000n);
    await ledger.take(seed, b.accept(seed));
    const hold = await ledger.author.hold([{ payee: account('B').id, max: 20_000_000n }]);
    const claim = b.claim(hold, 12_500_000n, { last: true });
    await ledger.take(claim);
    await ledger.author.release(hold, 0, claim);
    const pending = b.transfer('A', 3n, 'for you');
    await ledger.take(pending);
    const { entries, next } = creditHistory.parse((await call('/credits/history')).body);
    const told = entries.map(({ kind, amountMicrocredits, partyName, memo, state, open }) => [
      kind,
      amountMicrocredits,
      partyName,
      memo,
      state,
      open,
    ]);
    expect(told).toEqual([
      ['transfer', '3', 'kitchen', 'for you', 'stands', true],
      ['release', '7500000', 'kitchen', '', 'stands', false],
      ['hold', '-20000000', 'kitchen', '', 'stands', false],
      ['accept', '500000000', '', 'grant', 'final', false],
    ]);
    expect(next).toBeNull();
    const summary = creditSummary.parse((await call('/credits/summary')).body);
    for (const span of [summary.today, summary.week, summary.month]) {
      expect(span).toMatchObject({
        earnedMicrocredits: '0',
        spentMicrocredits: '12500000',
        receivedMicrocredits: '500000000',
        sentMicrocredits: '0',
      });
    }
  });

  it('goes back page by page without a gap', async () => {
    const ledger = await start();
    await funded(ledger);
    for (let amount = 1; amount <= 7; amount++) {
      await call('/credits/transfer', { to: peerOf('B'), amountMicrocredits: String(amount) });
    }
    const sequences: number[] = [];
    let before: string | null = null;
    do {
      const more: string = before === null ? '' : `&before=${before}`;
      const page = creditHistory.parse((await call(`/credits/history?limit=3${more}`)).body);
      sequences.push(...page.entries.map(({ name }) => name.sequence));
      before = page.next;
    } while (before !== null);
    expect(sequences).toEqual([7, 6, 5, 4, 3, 2, 1, 0]);
    expect((await call('/credits/history?before=x')).body).toMatchObject({ error: { code: 'invalid_request' } });
  });

  it('says what was lost: booked, and then its sender had spent it twice', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const b = new Writer(ledger.mesh, 'B');
    const seed = founder.transfer('B', 100n);
    const accepted = b.accept(seed);
    const toA = b.transfer('A', 100n, 'here');
    await ledger.take(seed, accepted, toA, ...[seed, accepted].flatMap((entry) => certify(ledger.mesh, entry)));
    await ledger.author.accept(toA);
    expect((await call('/credits/history')).body).toMatchObject({
      entries: [{ kind: 'accept', amountMicrocredits: '100', state: 'stands' }, {}],
    });

    const toC = b.behind(accepted).transfer('C', 100n);
    await ledger.take(toC, ...certify(ledger.mesh, toC));
    expect((await call('/credits/history')).body).toMatchObject({
      entries: [{ kind: 'accept', amountMicrocredits: '0', partyName: 'kitchen', state: 'cut' }, {}],
    });
    expect((await call('/credits/balance')).body).toMatchObject({ availableMicrocredits: '500000000' });
  });
});

describe('the ledger', () => {
  it('has one digest wherever the same entries stand, says who witnesses and who forked, and verifies (E36, E37)', async () => {
    const ledger = await start();
    const { founder, grant } = await funded(ledger);
    const toB = founder.transfer('B', 5n);
    const toC = founder.behind(grant).transfer('C', 5n);
    await ledger.take(toB, toC);
    const head = ledgerHead.parse((await call('/ledger/head')).body);
    expect(head).toMatchObject({
      entries: 2,
      authors: 2,
      account: peerOf('A'),
      own: { sequence: 0, state: 'final' },
      signing: { state: 'ready' },
      witness: null,
      quorum: 3,
      forked: 1,
      forks: [{ author: peerOf(FOUNDER), sequence: 1, resolved: null }],
    });
    expect(head.witnesses).toHaveLength(4);
    const verified = ledgerVerification.parse((await call('/ledger/verify')).body);
    expect(verified).toMatchObject({
      valid: true,
      problems: [],
      entries: 2,
      authors: 2,
      final: 2,
      digest: head.digest,
    });
    expect(verified.forks).toEqual(head.forks);
  });

  it('names what lies damaged on the disk', async () => {
    const ledger = await start();
    const { grant } = await funded(ledger);
    const sealed = Uint8Array.from(grant.sealed);
    sealed[sealed.length - 1]! ^= 1;
    await ledger.store.write({ entries: [{ ...grant, sealed }] }, true);
    const { valid, problems } = ledgerVerification.parse((await call('/ledger/verify')).body);
    expect(valid).toBe(false);
    expect(problems[0]).toMatchObject({ author: peerOf(FOUNDER), sequence: 0, id: grant.id });
  });

  it('holds while it is written to', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const b = new Writer(ledger.mesh, 'B');
    let isChecking = true;
    const write = async () => {
      while (isChecking) {
        const to = founder.transfer('B', 1n);
        await ledger.take(to, b.accept(to), ...certify(ledger.mesh, to));
      }
    };
    const writing = write();
    for (let count = 0; count < 5; count++) {
      expect((await call('/ledger/verify')).body).toMatchObject({ valid: true, problems: [] });
      const { text } = await ask(small?.port ?? 0, '/ledger/entries?stream=true', { headers });
      const audited = await auditExport(async function* chunks() {
        yield Buffer.from(text);
      });
      expect(audited.problems).toEqual([]);
    }
    isChecking = false;
    await writing;
  });

  it('holds when entries come while the check waits for the disk', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const flushed = ledger.ingest.flushed.bind(ledger.ingest);
    vi.spyOn(ledger.ingest, 'flushed').mockImplementationOnce(async () => {
      await flushed();
      await ledger.take(founder.transfer('B', 1n));
    });
    expect(await ledger.ledger.verify()).toMatchObject({ valid: true, problems: [] });
  });

  it('shows the entries of an account, in order, with their bytes', async () => {
    const ledger = await start();
    const { grant } = await funded(ledger);
    await call('/credits/transfer', { to: peerOf('B'), amountMicrocredits: '5' });
    const own = ledgerEntries.parse((await call('/ledger/entries?limit=1')).body);
    expect(own).toMatchObject({
      entries: [{ kind: 'accept', sequence: 0, state: 'final', transfer: { id: grant.id } }],
      next: 1,
    });
    const rest = ledgerEntries.parse((await call('/ledger/entries?from=1')).body);
    expect(rest).toMatchObject({
      entries: [{ kind: 'transfer', amountMicrocredits: '5', state: 'stands' }],
      next: null,
    });
    const founders = await call(`/ledger/entries?author=${peerOf(FOUNDER)}`);
    expect(ledgerEntries.parse(founders.body).entries).toMatchObject([
      { entry: Buffer.from(grant.sealed).toString('hex'), memo: 'grant' },
    ]);
    expect((await call('/ledger/entries?author=kitchen')).body).toMatchObject({ error: { code: 'invalid_request' } });
  });

  it('is exported whole, and the export agrees with the node without it', async () => {
    const ledger = await start();
    const { grant } = await funded(ledger);
    await call('/credits/transfer', { to: peerOf('B'), amountMicrocredits: '5' });
    const { text } = await ask(small?.port ?? 0, '/ledger/entries?stream=true', { headers });
    for (const line of text.trimEnd().split('\n')) exportLine.parse(JSON.parse(line));
    const audited = await auditExport(async function* chunks() {
      yield Buffer.from(text);
    });
    const head = ledgerHead.parse((await call('/ledger/head')).body);
    expect(audited).toMatchObject({ valid: true, problems: [], digest: head.digest, entries: head.entries });
    expect(audited.ledger?.status(grant)).toBe('final');
    expect(audited.ledger?.available(account('A').id)).toEqual(ledger.ingest.ledger.available(account('A').id));
  });
});

describe('a mesh without credits', () => {
  it.each([
    '/credits/balance',
    '/credits/history',
    '/credits/summary',
    '/ledger/head',
    '/ledger/verify',
    '/ledger/entries',
    '/ledger/entries?stream=true',
  ])('%s says so', async (path) => {
    small = await smallApi();
    const { status, body } = await call(path);
    expect(status).toBe(409);
    expect(body).toMatchObject({ error: { code: 'no_credits', hint: expect.stringContaining('--genesis') } });
  });
});

it('a mesh without credits says so whatever a transfer says', async () => {
  small = await smallApi();
  expect((await call('/credits/transfer', { to: 5 })).body).toMatchObject({ error: { code: 'no_credits' } });
});

describe('a bridge', () => {
  it('a memo reaches whom the credits are for, and is in the event that tells of it (E16)', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const order = founder.transfer('A', 25_000_000n, 'order 4711');
    await ledger.take(order, ...certify(ledger.mesh, order));
    expect((await call('/credits/history')).body).toMatchObject({
      entries: [{ memo: 'order 4711', state: 'final', open: true }, {}],
    });
    const booked = await ledger.author.accept(order);
    await ledger.take(...certify(ledger.mesh, booked));
    await vi.waitFor(() => {
      const told = ledger.events.after('test-0').map(({ event }) => event);
      expect(told).toContainEqual(
        expect.objectContaining({
          type: 'entry-final',
          entry: expect.objectContaining({ memo: 'order 4711', state: 'final' }),
        }),
      );
    });
  });
});

describe('a double spender', () => {
  it('is seen by all, and what witnesses decide stands: prevented with them, proven without (N7)', async () => {
    const ledger = await start();
    const { founder } = await funded(ledger);
    const b = new Writer(ledger.mesh, 'B');
    const seed = founder.transfer('B', 100n);
    const accepted = b.accept(seed);
    const toA = b.transfer('A', 100n);
    const toC = b.behind(accepted).transfer('C', 100n);
    await ledger.take(seed, accepted, toA, toC);
    // Without a certificate neither counts, and the two together are the proof.
    const cut = ledgerHead.parse((await call('/ledger/head')).body);
    expect(cut.forks).toEqual([{ author: peerOf('B'), sequence: 1, ids: [toA.id, toC.id].toSorted(), resolved: null }]);
    expect((await call('/credits/balance')).body).toMatchObject({ pendingMicrocredits: '0' });
    // Three of four witnesses decide.
    await ledger.take(...certify(ledger.mesh, toA), attest(ledger.mesh, 'W4', toC));
    const decided = ledgerHead.parse((await call('/ledger/head')).body);
    expect(decided.forks).toMatchObject([{ author: peerOf('B'), resolved: toA.id }]);
    expect((await call('/credits/balance')).body).toMatchObject({ pendingMicrocredits: '100' });
  });
});

function withoutRepeated({ repeated: _, ...entry }: ReturnType<typeof transferAnswer.parse>) {
  return entry;
}
