import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { account, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { balanceOf, type KnownVouchers, viewOf } from './balance.ts';
import { Ledger } from './ledger.ts';

const NAMES = [FOUNDER, 'A', 'B', 'C'];

/** Every account gives what it gives; each knows its own vouchers alone. */
function balances(ledger: Ledger, given: ReadonlyMap<string, bigint>) {
  const receivedBy = (payee: string): ReturnType<KnownVouchers['received']> =>
    ledger.openLegsTo(payee).map(({ hold, leg }) => ({ hold, leg, cumulative: given.get(`${hold.id}/${leg}`) ?? 0n }));
  return NAMES.map((name) => {
    const { id } = account(name);
    return balanceOf(
      viewOf(id, ledger, {
        given: (hold, leg) => given.get(`${hold.id}/${leg}`) ?? 0n,
        received: () => receivedBy(id),
      }),
    );
  });
}

describe('a balance', () => {
  it('splits a hold by the vouchers that were given', () => {
    const mesh = meshOf();
    const ledger = new Ledger(mesh);
    const founder = new Writer(mesh, FOUNDER);
    const hold = founder.hold(['A', 100n], ['B', 50n]);
    const sent = founder.transfer('B', 7n);
    for (const entry of [hold, sent, new Writer(mesh, 'A').claim(hold, 20n)]) ledger.add(entry);
    const [payer, a, b] = balances(ledger, new Map([[`${hold.id}/0`, 60n]]));
    expect(payer).toMatchObject({ available: 843n, reserved: 40n + 50n, promised: 40n + 7n, pending: 0n });
    expect(a).toMatchObject({ available: 20n, reserved: 0n, promised: 0n, pending: 40n });
    expect(b).toMatchObject({ available: 0n, pending: 7n });
  });

  it('promises nothing of a leg that its payee has closed', () => {
    const mesh = meshOf();
    const ledger = new Ledger(mesh);
    const founder = new Writer(mesh, FOUNDER);
    const hold = founder.hold(['A', 100n]);
    for (const entry of [hold, new Writer(mesh, 'A').claim(hold, 20n, { last: true })]) ledger.add(entry);
    const [payer, a] = balances(ledger, new Map([[`${hold.id}/0`, 60n]]));
    expect(payer).toMatchObject({ reserved: 80n, promised: 0n });
    expect(a).toMatchObject({ available: 20n, pending: 0n });
  });

  /** What people are shown adds up: available + reserved + promised over all accounts is what the mesh began with. */
  it('adds up to the genesis amount over all accounts', () => {
    const action = fc.record({
      who: fc.nat(3),
      to: fc.nat(3),
      kind: fc.constantFrom('transfer', 'accept', 'hold', 'claim', 'last', 'release', 'alone', 'certify', 'voucher'),
      amount: fc.bigInt({ min: 1n, max: 400n }),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const mesh = meshOf();
        const ledger = new Ledger(mesh);
        const writers = NAMES.map((name) => new Writer(mesh, name, { signed: false }));
        const given = new Map<string, bigint>();
        for (const { who, to, kind, amount } of actions) {
          const writer = writers[who]!;
          const other = NAMES[to]!;
          const toMe = ledger.openTransfersTo(writer.id)[0];
          const legToMe = ledger.openLegsTo(writer.id)[0];
          const ownLeg = ledger.openLegsOf(writer.id)[0];
          const hasLog = who === 0 || ledger.tip(writer.id) !== undefined;
          if (kind === 'transfer' && hasLog && to !== who) ledger.add(writer.transfer(other, amount));
          if (kind === 'hold' && hasLog && to !== who) ledger.add(writer.hold([other, amount]));
          if (kind === 'accept' && toMe !== undefined) ledger.add(writer.accept(toMe.name));
          if ((kind === 'claim' || kind === 'last') && legToMe !== undefined && legToMe.closedBy === undefined) {
            const { hold, leg } = legToMe;
            ledger.add(writer.claim(hold, amount, { leg, last: kind === 'last' }));
          }
          if (kind === 'release' && ownLeg?.closedBy !== undefined) {
            const claim = ledger.find(ownLeg.closedBy.id);
            if (claim !== undefined) ledger.add(writer.release(ownLeg.hold, claim, ownLeg.leg));
          }
          if (kind === 'alone' && ownLeg !== undefined)
            ledger.add(writer.releaseAlone(ownLeg.hold, amount, ownLeg.leg));
          if (kind === 'voucher' && ownLeg !== undefined) given.set(`${ownLeg.hold.id}/${ownLeg.leg}`, amount);
          const tip = ledger.tip(writer.id);
          if (kind === 'certify' && tip !== undefined) {
            for (const attestation of certify(mesh, tip, { signed: false })) ledger.attest(attestation);
          }
          const all = balances(ledger, given);
          const sum = all.reduce((total, one) => total + one.available + one.reserved + one.promised, 0n);
          expect(sum).toBe(mesh.genesis);
          for (const amounts of all) for (const value of Object.values(amounts)) expect(value >= 0n).toBe(true);
        }
      }),
    );
  });
});
