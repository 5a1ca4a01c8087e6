import { afterEach, describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { balanceOf, viewOf } from '../books/balance.ts';
import type { HistoryLine } from '../books/history.ts';
import { Ledger } from '../books/ledger.ts';
import type { Entry } from '../entries/entry.ts';
import { type LedgerEvent, LedgerWatch } from './watch.ts';

const watches: LedgerWatch[] = [];
afterEach(() => Promise.all(watches.splice(0).map((watch) => watch.stop())));

/** The founder's node watches; its disk may refuse. */
function watched() {
  const mesh = meshOf({ genesis: 1_000n });
  const ledger = new Ledger(mesh);
  const founder = new Writer(mesh, FOUNDER);
  const clock = new VirtualClock();
  const told: LedgerEvent[] = [];
  const warnings: string[] = [];
  const disk = { isBroken: false, entries: [] as Entry[] };
  const nobody = { given: () => 0n, received: () => [] };
  const watch = new LedgerWatch({
    self: mesh.founder,
    ledger: () => ledger,
    balance: () => balanceOf(viewOf(mesh.founder, ledger, nobody)),
    history: {
      async lines(from, before) {
        if (disk.isBroken) throw new GoGridError({ code: 'home_unusable', message: 'the disk refuses' });
        return disk.entries
          .filter(({ sequence }) => sequence >= from && sequence < before)
          .map(lineOf)
          .reverse();
      },
    },
    onTaken: () => () => {},
    clock,
    tell: (event) => told.push(event),
    log: { warn: (_fields, message) => warnings.push(message) },
  });
  watches.push(watch);
  watch.start();
  const pay = (amount: bigint) => {
    const entry = founder.transfer('B', amount);
    ledger.add(entry);
    disk.entries.push(entry);
    watch.look();
    return entry;
  };
  const settle = (entry: Entry) => {
    for (const attestation of certify(mesh, entry)) ledger.attest(attestation);
    watch.look();
  };
  const types = () => told.map(({ type }) => type);
  return { watch, clock, disk, told, types, warnings, pay, settle };
}

function lineOf({ author, sequence, id }: Entry): HistoryLine {
  return { name: { author, sequence, id }, amount: -1n } as HistoryLine;
}

describe('what is told', () => {
  it('is that the balance changed, and what became final, once', async () => {
    const { clock, types, pay, settle, watch } = watched();
    settle(pay(10n));
    await clock.advance(LEDGER.eventGatherMs);
    expect(types()).toEqual(['credits', 'entry-final']);
    watch.look();
    await clock.advance(LEDGER.eventGatherMs);
    expect(types()).toEqual(['credits', 'entry-final']);
  });

  it('is told when the disk can be read again, also if nothing comes in any more', async () => {
    const { clock, disk, types, warnings, pay, settle } = watched();
    disk.isBroken = true;
    settle(pay(10n));
    await clock.advance(LEDGER.eventGatherMs);
    expect(types()).toEqual([]);
    expect(warnings).toHaveLength(1);
    disk.isBroken = false;
    await clock.advance(LEDGER.storeRetryMs);
    expect(types()).toEqual(['credits', 'entry-final']);
  });

  it('is not looked for any more when it has stopped', async () => {
    const { clock, disk, watch, warnings, pay, settle } = watched();
    disk.isBroken = true;
    settle(pay(10n));
    await clock.advance(LEDGER.eventGatherMs);
    await watch.stop();
    await clock.advance(10 * LEDGER.storeRetryMs);
    expect(warnings).toHaveLength(1);
  });
});
