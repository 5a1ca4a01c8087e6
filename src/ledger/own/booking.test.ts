import { describe, expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { account, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { type WholeNode, type WholeNodeOptions, WholeNodes } from '../../testing/ledger/whole-nodes.ts';

const DAY_MS = 86_400_000;
const RECEIPT = new Uint8Array(32).fill(3);

/** The founder, and an account with 500, with a mesh whose four witnesses are not up: nothing becomes final. */
async function withoutWitnesses(options: WholeNodeOptions = {}) {
  const net = new WholeNodes(meshOf({ witnesses: 4, genesis: 10_000n }));
  const founder = await net.start(FOUNDER, { fresh: true });
  const b = await net.start('B', { fresh: true, ...options });
  return { net, founder, b };
}

const pay = (node: WholeNode, to: string, amount: bigint) =>
  node.author.transfer({ to: account(to).id, amount, memo: '' });
const has = (node: WholeNode) => node.ingest.ledger.available(node.self).available;

describe('a transfer to this account', () => {
  it('is booked at once when it fits the cap of its payer, and not when it does not', async () => {
    const { net, founder, b } = await withoutWitnesses({ cap: 100n });
    await pay(founder, 'B', 60n);
    await pay(founder, 'B', 41n);
    await net.until(() => has(b) > 0n, 2_000);
    await net.clock.advance(60_000);
    // The larger first: 60 fits, and 41 beside it does not.
    expect(has(b)).toBe(60n);
    expect(b.exposure.total).toBe(60n);
  });

  it('is booked when it is final, whatever its size, and counts for nothing then', async () => {
    const { net, founder, b } = await withoutWitnesses({ requireFinal: true });
    await pay(founder, 'B', 5_000n);
    await net.clock.advance(20_000);
    expect(has(b)).toBe(0n);
    for (const name of ['W1', 'W2', 'W3']) await net.start(name, { fresh: true });
    await net.until(() => has(b) === 5_000n);
    expect(b.exposure.total).toBe(0n);
    await net.until(() => b.ingest.ledger.available(b.self).final === 5_000n);
  });

  it('that rests on what witnesses may never attest is booked only when it is final', async () => {
    const { net, founder, b } = await withoutWitnesses({ cap: 100n });
    const m = new Writer(net.mesh, 'M');
    const grant = await pay(founder, 'M', 500n);
    const [accepted, before] = [m.accept(grant), m.transfer('B', 3n)];
    const hold = m.hold([FOUNDER, 10n]);
    const [alone, after] = [m.releaseAlone(hold, 0n), m.transfer('B', 1n)];
    const sent = [accepted, before, hold, alone, after];
    await b.ingest.take({ entries: [grant, ...sent].map(({ sealed }) => sealed) }, 'a peer');
    await net.until(() => has(b) > 0n);
    await net.clock.advance(30_000);
    expect(has(b)).toBe(3n);
    await b.ingest.take({ attestations: certify(net.mesh, alone).map(({ sealed }) => sealed) }, 'a peer');
    await net.until(() => has(b) === 4n);
  });

  it('waits after a start until the peers that come a little later have said what they know of the own log', async () => {
    const { net, founder, b } = await withoutWitnesses();
    await net.stop(b);
    await pay(founder, 'B', 5n);
    const again = await net.start('B', { store: b.store });
    await net.until(() => again.author.state().state === 'ready', 1_000);
    await net.clock.advance(LEDGER.askHeadMs - 1_500);
    expect(has(again)).toBe(0n);
    await net.until(() => has(again) === 5n, 5_000);
  });

  it('is booked once, also over a crash at any time', async () => {
    const net = new WholeNodes(meshOf({ genesis: 10_000n }));
    const founder = await net.start(FOUNDER, { fresh: true });
    let b = await net.start('B', { fresh: true });
    await pay(founder, 'B', 50n);
    for (let crash = 0; crash < 8; crash++) {
      await net.clock.advance(13 * (crash + 1));
      b = await net.start('B', { store: net.crash(b) });
    }
    await net.until(() => has(b) === 50n);
    await pay(founder, 'B', 7n);
    await net.until(() => has(b) === 57n);
    expect(b.ingest.ledger.forks()).toEqual([]);
    await net.until(() => b.ingest.ledger.digest() === founder.ingest.ledger.digest());
  });
});

describe('a leg of an own hold', () => {
  it('gives its rest back when its payee has closed it and that is final', async () => {
    const net = new WholeNodes(meshOf({ genesis: 10_000n }));
    const founder = await net.start(FOUNDER, { fresh: true });
    const b = await net.start('B', { fresh: true });
    const hold = await founder.author.hold([{ payee: b.self, max: 100n }]);
    await founder.vouchers.mayPromise(hold, 0, 30n);
    const voucher = { hold, leg: 0, cumulative: 30n, receiptHash: RECEIPT };
    const voucherSignature = founder.vouchers.sign(voucher);
    await net.until(() => b.ingest.ledger.openLegsTo(b.self).length === 1);
    await b.author.claim({ ...voucher, voucherSignature, last: true });
    await net.until(() => has(founder) === 9_970n);
    expect(founder.ingest.ledger.openLegsOf(founder.self)).toEqual([]);
    expect(has(b)).toBe(30n);
  });

  it('keeps it while the closing claim is not final', async () => {
    const { net, founder, b } = await withoutWitnesses();
    const hold = await founder.author.hold([{ payee: b.self, max: 100n }]);
    await net.until(() => b.ingest.ledger.openLegsTo(b.self).length === 1);
    const none = { receiptHash: new Uint8Array(0), voucherSignature: new Uint8Array(0) };
    await b.author.claim({ hold, leg: 0, cumulative: 0n, ...none, last: true });
    await net.clock.advance(60_000);
    expect(has(founder)).toBe(9_900n);
  });
});

describe('a received voucher', () => {
  it('is claimed when it has waited for a seventh of the time after which its payer may take it back', async () => {
    const { net, founder, b } = await withoutWitnesses();
    const hold = await founder.author.hold([{ payee: b.self, max: 100n }]);
    await founder.vouchers.mayPromise(hold, 0, 30n);
    const voucher = { hold, leg: 0, cumulative: 30n, receiptHash: RECEIPT };
    const signature = founder.vouchers.sign(voucher);
    await net.until(() => b.ingest.ledger.openLegsTo(b.self).length === 1);
    await b.vouchers.receive({ ...voucher, signature });
    await net.clock.advance(DAY_MS - 60_000);
    expect(has(b)).toBe(0n);
    await net.clock.advance(120_000);
    expect(has(b)).toBe(30n);
    expect(founder.ingest.ledger.openLegsOf(founder.self)).toMatchObject([{ paid: 30n, closedBy: undefined }]);
  }, 30_000);
});
