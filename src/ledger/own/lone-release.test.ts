import { describe, expect, it } from 'vitest';
import { FOUNDER, meshOf } from '../../testing/ledger/authors.ts';
import { type WholeNode, WholeNodes } from '../../testing/ledger/whole-nodes.ts';
import { OwnNotes } from './own-notes.ts';
import { noteRestored } from './restored.ts';

const WAIT_MS = 70_000;
const RECEIPT = new Uint8Array(32).fill(3);

/** A mesh in which the waiting takes 70 seconds; the founder, a witness, holds 100 for B. */
async function withHold({ promised = 0n } = {}) {
  const net = new WholeNodes(meshOf({ genesis: 1_000n }), { loneReleaseMs: WAIT_MS });
  const founder = await net.start(FOUNDER, { fresh: true });
  const b = await net.start('B', { fresh: true, idle: true });
  const hold = await founder.author.hold([{ payee: b.self, max: 100n }]);
  let voucher: Parameters<WholeNode['vouchers']['receive']>[0] | undefined;
  if (promised > 0n) {
    await founder.vouchers.mayPromise(hold, 0, promised);
    const given = { hold, leg: 0, cumulative: promised, receiptHash: RECEIPT };
    voucher = { ...given, signature: founder.vouchers.sign(given) };
  }
  await net.until(() => b.ingest.ledger.openLegsTo(b.self).length === 1);
  return { net, founder, b, hold, voucher };
}

const has = (node: WholeNode) => node.ingest.ledger.available(node.self).available;

describe('a rest whose payee is gone', () => {
  it('comes back after the time is over, and not before', async () => {
    const { net, founder } = await withHold();
    await net.clock.advance(WAIT_MS - 2_000);
    expect(has(founder)).toBe(900n);
    await net.until(() => has(founder) === 1_000n, WAIT_MS);
  });

  it('comes back above what was promised; the voucher can be booked later', async () => {
    const { net, founder, b, voucher } = await withHold({ promised: 40n });
    await net.until(() => has(founder) === 960n, 3 * WAIT_MS);
    const { signature: voucherSignature, ...given } = voucher!;
    await b.author.claim({ ...given, voucherSignature, last: false });
    await net.until(() => has(founder) + has(b) === 1_000n);
    expect(has(b)).toBe(40n);
  });

  it('does not come back from a hold that was there when a backup was restored: nobody knows what was promised', async () => {
    const { net, founder, b } = await withHold();
    await noteRestored(founder.self, { ledger: founder.ingest.ledger, store: founder.store });
    await founder.author.hold([{ payee: b.self, max: 10n }]);
    await net.until(() => has(founder) === 900n, 3 * WAIT_MS);
    await net.clock.advance(3 * WAIT_MS);
    expect(has(founder)).toBe(900n);
  });

  it('does not come back from one that an earlier backup had, nor when only others have newer ones', async () => {
    const { founder } = await withHold();
    const notes = new OwnNotes(founder.self, founder.store.notes);
    await notes.restored(7);
    await noteRestored(founder.self, { ledger: founder.ingest.ledger, store: founder.store });
    expect(await notes.restoredUpTo()).toBe(7);
  });

  it('does not come back while jobs use it', async () => {
    const { net, founder, hold } = await withHold({ promised: 1n });
    for (let step = 2n; step < 10n; step++) {
      await net.clock.advance(WAIT_MS / 2);
      await founder.vouchers.mayPromise(hold, 0, step);
    }
    expect(has(founder)).toBe(900n);
  });

  it('does not come back below a claim: the payee is there', async () => {
    const { net, founder, b, voucher } = await withHold({ promised: 40n });
    const { signature: voucherSignature, ...given } = voucher!;
    await b.author.claim({ ...given, voucherSignature, last: false });
    await net.until(() => has(founder) === 960n, 3 * WAIT_MS);
    expect(has(b)).toBe(40n);
  });

  it('is taken back once, wherever the process ends', async () => {
    const { net, founder, b } = await withHold({ promised: 40n });
    let node = founder;
    await net.clock.advance(WAIT_MS);
    for (let crash = 0; crash < 6; crash++) {
      await net.clock.advance(2_000 + 700 * crash);
      node = await net.start(FOUNDER, { store: net.crash(node) });
    }
    await net.until(() => has(node) === 960n, 3 * WAIT_MS);
    await net.until(() => b.ingest.ledger.digest() === node.ingest.ledger.digest());
    expect(node.ingest.ledger.forks()).toEqual([]);
    await expect(
      node.vouchers.mayPromise(
        { author: node.self, sequence: 0, id: node.ingest.ledger.finalTip(node.self)!.id },
        0,
        50n,
      ),
    ).rejects.toThrow();
  });
});
