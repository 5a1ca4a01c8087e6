import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { account, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { Ledger } from '../books/ledger.ts';
import { verifyVoucher } from '../entries/voucher.ts';
import { Vouchers } from './vouchers.ts';

const RECEIPT = new Uint8Array(32).fill(7);

/** The founder holds 100 for B; B is the payee, and both keep a journal. */
async function twoSides(options: { delay?: () => Promise<void> } = {}) {
  const mesh = meshOf();
  const ledger = new Ledger(mesh);
  const founder = new Writer(mesh, FOUNDER);
  const hold = founder.hold(['B', 100n]);
  ledger.add(hold);
  const clock = new VirtualClock();
  const store = new MemoryLedgerStore(options);
  const load = (name: string, notes = store.notes) => {
    const { id, signer } = account(name);
    return Vouchers.load({ mesh, self: id }, { signer, ingest: { ledger }, notes, clock });
  };
  return { mesh, ledger, founder, hold, clock, store, load, payer: await load(FOUNDER), payee: await load('B') };
}

describe('a given voucher', () => {
  it('is signed up to what is on disk, and no further', async () => {
    const { payer, hold, mesh } = await twoSides();
    await payer.mayPromise(hold, 0, 60n);
    const voucher = { hold, leg: 0, cumulative: 60n, receiptHash: RECEIPT };
    expect(verifyVoucher(mesh.networkId, voucher, payer.sign(voucher))).toBe(true);
    expect(() => payer.sign({ ...voucher, cumulative: 61n })).toThrow('more than is on disk');
    expect(payer.given(hold, 0)).toBe(60n);
  });

  it('is not signed while what allows it is on its way to the disk', async () => {
    const { payer, hold } = await twoSides();
    const voucher = { hold, leg: 0, cumulative: 60n, receiptHash: RECEIPT };
    const allowed = payer.mayPromise(hold, 0, 60n);
    expect(() => payer.sign(voucher)).toThrow('more than is on disk');
    await allowed;
    expect(payer.sign(voucher)).toHaveLength(64);
  });

  it('is refused beyond the leg, for a leg that is not open, and for one that is closed', async () => {
    const { payer, payee, hold } = await twoSides();
    await expect(payer.mayPromise(hold, 0, 101n)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(payer.mayPromise(hold, 1, 1n)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(payee.mayPromise(hold, 0, 1n)).rejects.toMatchObject({ code: 'invalid_request' });
    await payer.mayPromise(hold, 0, 10n);
    expect(await payer.close(hold, 0)).toBe(10n);
    await expect(payer.mayPromise(hold, 0, 20n)).rejects.toThrow('closed');
    expect(() => payer.sign({ hold, leg: 0, cumulative: 10n, receiptHash: RECEIPT })).toThrow('closed');
  });

  it('is refused once the payee has written its last claim', async () => {
    const { payer, hold, ledger, mesh } = await twoSides();
    ledger.add(new Writer(mesh, 'B').claim(hold, 10n, { last: true }));
    await expect(payer.mayPromise(hold, 0, 20n)).rejects.toThrow('closed');
  });

  it('is never above what a closing says, whatever is asked at once', async () => {
    const { payer, hold } = await twoSides();
    const asked = payer.mayPromise(hold, 0, 80n).catch(() => undefined);
    const closed = payer.close(hold, 0);
    await asked;
    expect(await closed).toBe(80n);
  });

  /** Property 13: no release below a signed voucher, wherever the process ends. */
  it('is on disk before it is signed, wherever the process ends', async () => {
    const step = fc.record({ cumulative: fc.bigInt({ min: 1n, max: 100n }), sign: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.nat(12), async (steps, crashAt) => {
        const { payer, hold, store, load } = await twoSides();
        let signed = 0n;
        for (const { cumulative, sign } of steps.slice(0, crashAt)) {
          await payer.mayPromise(hold, 0, cumulative);
          if (!sign) continue;
          payer.sign({ hold, leg: 0, cumulative, receiptHash: RECEIPT });
          if (cumulative > signed) signed = cumulative;
        }
        // One more is on its way when it ends.
        void payer.mayPromise(hold, 0, 100n);
        const after = await load(FOUNDER, store.crash().notes);
        expect(after.mayHavePromised(hold, 0)).toBeGreaterThanOrEqual(signed);
        expect(await after.close(hold, 0)).toBeGreaterThanOrEqual(signed);
      }),
    );
  });

  it('is never above the disk, whatever the disk refuses, whatever is asked at once, wherever the process ends', async () => {
    const step = fc.record({ cumulative: fc.bigInt({ min: 1n, max: 100n }), turns: fc.nat(4) });
    const ask = (cumulative: bigint, turns = 0) => ({ cumulative, turns });
    const steps = fc.array(step, { minLength: 2, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(steps, fc.array(fc.boolean(), { maxLength: 8 }), async (asks, refusals) => {
        const refused = [...refusals];
        const { payer, hold, store, load } = await twoSides({
          delay: async () => {
            await turn();
            if (refused.shift() === true) throw new Error('full');
          },
        });
        let signed = 0n;
        const all: Promise<void>[] = [];
        for (const { cumulative, turns } of asks) {
          const sign = () => {
            payer.sign({ hold, leg: 0, cumulative, receiptHash: RECEIPT });
            if (cumulative > signed) signed = cumulative;
          };
          all.push(payer.mayPromise(hold, 0, cumulative).then(sign, () => undefined));
          for (let n = 0; n < turns; n++) await turn();
        }
        await Promise.all(all);
        expect(payer.mayHavePromised(hold, 0)).toBeGreaterThanOrEqual(signed);
        const after = await load(FOUNDER, store.crash().notes);
        expect(after.mayHavePromised(hold, 0)).toBeGreaterThanOrEqual(signed);
      }),
      // The first write fails while a higher one is on its way, and then something lower is asked for.
      { examples: [[[ask(1n), ask(2n), ask(1n, 1), ask(1n)], [true]]] },
    );
  });

  it('can be asked for again when the disk had refused', async () => {
    let isFull = true;
    const { payer, hold } = await twoSides({
      delay: async () => {
        if (isFull) throw new Error('full');
      },
    });
    await expect(payer.mayPromise(hold, 0, 5n)).rejects.toThrow('full');
    expect(() => payer.sign({ hold, leg: 0, cumulative: 5n, receiptHash: RECEIPT })).toThrow('more than is on disk');
    isFull = false;
    await payer.mayPromise(hold, 0, 5n);
    expect(payer.mayHavePromised(hold, 0)).toBe(5n);
  });
});

describe('a received voucher', () => {
  async function give(cumulative: bigint, options: Parameters<typeof twoSides>[0] = {}) {
    const sides = await twoSides(options);
    await sides.payer.mayPromise(sides.hold, 0, 100n);
    const make = (amount: bigint) => {
      const voucher = { hold: sides.hold, leg: 0, cumulative: amount, receiptHash: RECEIPT };
      return { ...voucher, signature: sides.payer.sign(voucher) };
    };
    return { ...sides, make, voucher: make(cumulative) };
  }

  it('is kept if it is the newest, and still there after a crash', async () => {
    const { payee, make, store, load } = await give(10n);
    expect(await payee.receive(make(30n))).toBe('kept');
    expect(await payee.receive(make(20n))).toBe('older');
    const after = await load('B', store.crash().notes);
    expect(after.received()).toMatchObject([{ cumulative: 30n, leg: 0 }]);
  });

  it('is not kept, nor older than one that is, before the disk has the newest', async () => {
    let isFull = false;
    const sides = await give(10n, {
      delay: async () => {
        if (isFull) throw new Error('full');
      },
    });
    const { payee, make, store, load } = sides;
    expect(await payee.receive(make(5n))).toBe('kept');
    isFull = true;
    await expect(payee.receive(make(30n))).rejects.toThrow('full');
    await expect(payee.receive(make(30n))).rejects.toThrow('full');
    await expect(payee.receive(make(20n))).rejects.toThrow('full');
    isFull = false;
    expect(await payee.receive(make(30n))).toBe('older');
    expect((await load('B', store.crash().notes)).received()).toMatchObject([{ cumulative: 30n }]);
  });

  it('is refused when its signature does not stand, or the leg is another’s', async () => {
    const { payee, payer, voucher } = await give(10n);
    const wrong = { ...voucher, cumulative: 11n };
    await expect(payee.receive(wrong)).rejects.toThrow("the voucher's signature does not stand");
    await expect(payer.receive(voucher)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('counts its time from the first that is not booked', async () => {
    const { payee, make, clock } = await give(10n);
    await payee.receive(make(10n));
    const first = clock.now();
    await clock.advance(1_000);
    await payee.receive(make(20n));
    expect(payee.received()[0]?.since).toBe(first);
  });

  it('is forgotten when its leg is over', async () => {
    const { payee, payer, voucher, store, load } = await give(10n);
    await payee.receive(voucher);
    await payee.sweep(() => true);
    await payer.sweep(() => false);
    expect(payee.received()).toEqual([]);
    expect((await load(FOUNDER, store.crash().notes)).mayHavePromised(voucher.hold, 0)).toBe(100n);
  });
});
