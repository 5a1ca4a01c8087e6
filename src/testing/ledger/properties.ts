/** The laws of docs/ledger.md, each as something that must hold of every history that `plans.ts` can think of. */

import type fc from 'fast-check';
import { type Entry, type EntryId, type LedgerMesh, namesIn } from '../../ledger/entries/entry.ts';
import { randomOf } from '../sim/random.ts';
import { account, hex, nameOf as nameOfEntry, Writer } from './authors.ts';
import { Driver, type MakeLedger, readState, totalOf } from './driver.ts';
import { entriesOf, type Item, inOrder, play } from './histories.ts';
import { expectModel, expectSame } from './model.ts';
import type { NaiveLedger } from './naive.ts';
import { ACCOUNTS, type Plan, plans } from './plans.ts';
import { nameOf, tell } from './telling.ts';

export interface LedgerProperty {
  readonly title: string;
  readonly plans: fc.Arbitrary<Plan>;
  /** How many histories the tests of every day try. */
  readonly runs: number;
  /** @throws Error that says what does not hold */
  check(plan: Plan, make: MakeLedger): void;
}

/** Whatever authors and witnesses sign. */
const anything = plans();
/** At most f witnesses lie. */
const mostAreHonest = plans({ lying: ['none', 'some'] });

export const properties: readonly LedgerProperty[] = [
  { title: 'P1 conservation in every view', plans: anything, runs: 60, check: conservation },
  { title: 'P2 one set, any order and doubles, one state', plans: anything, runs: 100, check: anyOrder },
  { title: 'P3 no balance below 0, no leg over its max', plans: anything, runs: 60, check: bounds },
  {
    title: 'P4 an honest entry is never void by its own past',
    plans: mostAreHonest,
    runs: 100,
    check: honestIsNeverVoid,
  },
  { title: 'P5 what is final never changes while at most f lie', plans: mostAreHonest, runs: 60, check: finalStays },
  { title: 'P6 only the genesis makes credits', plans: anything, runs: 100, check: nothingWithoutGenesis },
  { title: 'P9 a cut changes nothing before it', plans: mostAreHonest, runs: 100, check: cutChangesNothingBefore },
  { title: 'P11 healed partitions agree', plans: anything, runs: 100, check: healedPartitionsAgree },
  { title: 'P12 pruned and started again is as good as full', plans: anything, runs: 40, check: prunedIsFull },
  { title: 'the ledger is the naive fold after every step', plans: anything, runs: 40, check: isTheModel },
];

/** Looks at a node after every item, and at another that gets them in another order. */
function inEveryView(plan: Plan, make: MakeLedger, finalise: boolean, look: (driver: Driver) => void): void {
  const { mesh, items } = play(plan);
  for (const order of plan.orders) {
    const driver = new Driver(make, mesh, { finalise });
    for (const item of inOrder(items, order)) {
      driver.give(item);
      explained(driver.seen, () => look(driver));
    }
  }
}

function conservation(plan: Plan, make: MakeLedger): void {
  inEveryView(plan, make, true, ({ ledger, mesh }) => {
    expectSame('all credits there are', totalOf(mesh, readState(ledger.books().encode())), mesh.genesis);
  });
}

/** Also of legs that are not open any more: all that moved out of them is added up. */
function bounds(plan: Plan, make: MakeLedger): void {
  inEveryView(plan, make, false, ({ ledger, seen }) => {
    const entries = new Map(entriesOf(seen).map((entry) => [entry.id, entry]));
    const taken = new Map<string, bigint>();
    for (const { id, author, body } of entries.values()) {
      const available = ledger.available(author).available;
      if (available < 0n) throw new Error(`${nameOf(author)} has ${available}`);
      const moved = ledger.moved(id) ?? 0n;
      if (moved === 0n || (body.kind !== 'claim' && body.kind !== 'release')) continue;
      const leg = `${body.hold.id}/${body.leg}`;
      taken.set(leg, (taken.get(leg) ?? 0n) + moved);
    }
    for (const [leg, sum] of taken) {
      const [hold = '', index] = leg.split('/');
      const body = entries.get(hold)?.body;
      const max = body?.kind === 'hold' ? (body.legs[Number(index)]?.max ?? 0n) : 0n;
      if (sum < 0n || sum > max) throw new Error(`${sum} of ${max} went out of leg ${leg.slice(0, 6)}`);
    }
  });
}

function anyOrder(plan: Plan, make: MakeLedger): void {
  const { mesh, items } = play(plan);
  const [one, other] = plan.orders.map((order) => given(make, mesh, inOrder(items, order)));
  if (one === undefined || other === undefined) return;
  explained(other.seen, () => expectAgreement(one, other));
}

/**
 * Of an entry that spends, in any view: with what its author's node knew it is never void; and if it spends only what was final,
 * then not either with anything else that others signed.
 */
function honestIsNeverVoid(plan: Plan, make: MakeLedger): void {
  const { mesh, items, spent } = play(plan);
  for (const { entry, heard, ofFinal } of spent) {
    expectToCount(given(make, mesh, inOrder(heard, plan.orders[0])), entry);
    if (!ofFinal) continue;
    const resting = restingOn(items, entry);
    const others = items.filter((item) => item.type === 'attestation' || !resting.has(item.entry.id));
    expectToCount(given(make, mesh, inOrder(others, plan.orders[1])), entry);
  }
}

/** Adds an entry that spends, and looks whether its author's available goes down by just what it spends. */
function expectToCount(driver: Driver, entry: Entry): void {
  const before = driver.ledger.available(entry.author).available;
  driver.give({ type: 'entry', entry });
  const after = driver.ledger.available(entry.author).available;
  const { body } = entry;
  const sum = body.kind === 'hold' ? body.legs.reduce((all, { max }) => all + max, 0n) : undefined;
  const amount = body.kind === 'transfer' ? body.amount : sum;
  explained(driver.seen, () => expectSame('what the last entry took', before - after, amount));
}

/** Nodes that hear all in different orders, and one that hears half: whatever any of them holds final, all agree on, for ever. */
function finalStays(plan: Plan, make: MakeLedger): void {
  const { mesh, items } = play(plan);
  const [first, second] = plan.orders;
  const random = randomOf(first.seed, 'half');
  const half = items.filter(() => random.chance(0.5));
  const certified = new Map<string, EntryId>();
  const everything = new Driver(make, mesh);
  everything.giveAll(items);
  for (const heard of [inOrder(items, first), inOrder(items, second), inOrder(half, first)]) {
    const driver = given(make, mesh, heard);
    explained(driver.seen, () => {
      if (driver.contradicted) throw new Error('a contradiction, with at most f that lie');
      for (const [id, moved] of driver.movedFinally) {
        expectSame(`what final ${id.slice(0, 6)} moved in the end`, everything.movedFinally.get(id), moved);
      }
      for (const entry of entriesOf(items)) {
        const status = driver.ledger.status(nameOfEntry(entry));
        if (status !== 'certified' && status !== 'final') continue;
        const place = `${nameOf(entry.author)}#${entry.sequence}`;
        expectSame(`the one certified at ${place}`, entry.id, certified.get(place) ?? entry.id);
        certified.set(place, entry.id);
      }
    });
  }
}

function nothingWithoutGenesis(plan: Plan, make: MakeLedger): void {
  const { mesh, items } = play(plan);
  const driver = given(make, { ...mesh, genesis: 0n }, inOrder(items, plan.orders[0]));
  explained(driver.seen, () => {
    const { available, transfers, legs } = readState(driver.ledger.books().encode());
    for (const [author, amount] of available) expectSame(`what ${nameOf(author)} has`, amount, 0n);
    expectSame('open transfers and legs', transfers.length + legs.length, 0);
  });
}

/** Signs a second entry for a place: if that is certified nothing happens, else only what rests on that place changes. */
function cutChangesNothingBefore(plan: Plan, make: MakeLedger): void {
  const { mesh, items } = play(plan);
  const heard = inOrder(items, plan.orders[0]);
  const before = given(make, mesh, heard);
  const naive = before.naive();
  for (const [author, tip] of naive.tips) {
    const chain = chainOf(naive, tip);
    const place = chain[plan.orders[1].seed % chain.length] ?? tip;
    const after = given(make, mesh, heard);
    after.give({ type: 'entry', entry: signedAgain(mesh, author, place, naive) });
    explained(after.seen, () => {
      if (naive.covered.has(place.id)) expectAgreement(before, after);
      else expectCut(before, after, place, naive);
    });
  }
}

function expectCut(before: Driver, after: Driver, place: Entry, naive: NaiveLedger): void {
  const gone = restingOn(
    [...naive.taken.values()].map((entry) => ({ type: 'entry', entry })),
    place,
  );
  expectSame('tip of who forked', after.ledger.tip(place.author)?.id, naive.taken.get(place.previous)?.id);
  const touched = new Set([...gone].map((id) => naive.taken.get(id)?.author));
  for (const author of naive.tips.keys()) {
    if (touched.has(author)) continue;
    const [had, has] = [before, after].map(({ ledger }) => ledger.available(author).available);
    expectSame(`what ${nameOf(author)} has`, has, had);
  }
  for (const id of naive.standing) {
    const entry = naive.taken.get(id);
    if (entry === undefined || gone.has(id)) continue;
    const [was, is] = [before, after].map(({ ledger }) => [ledger.status(nameOfEntry(entry)), ledger.moved(id)].join());
    expectSame(`${nameOf(entry.author)}#${entry.sequence} (status, moved)`, is, was);
  }
}

/** Two halves of a mesh, some entries in one, some in the other, some in both; then each gets what the other has. */
function healedPartitionsAgree(plan: Plan, make: MakeLedger): void {
  const { mesh, items } = play(plan);
  const random = randomOf(plan.orders[0].seed, 'partition');
  const sides = items.map(() => random.pick(['here', 'there', 'both']));
  const part = (other: string) => items.filter((_, index) => sides[index] !== other);
  const here = given(make, mesh, inOrder(part('there'), plan.orders[0]));
  const there = given(make, mesh, inOrder(part('here'), plan.orders[1]));
  const [hereHas, thereHas] = [[...here.seen], [...there.seen]];
  here.giveAll(thereHas);
  there.giveAll(hereHas);
  explained(here.seen, () => expectAgreement(here, there));
  expectModel(here);
}

/** A ledger that forgets what is final, one that does so and is started again and again, and one that forgets nothing. */
function prunedIsFull(plan: Plan, make: MakeLedger): void {
  const { mesh, items } = play(plan);
  const random = randomOf(plan.orders[0].seed, 'starts');
  const full = new Driver(make, mesh, { finalise: false });
  const pruned = new Driver(make, mesh);
  const restarted = new Driver(make, mesh);
  for (const item of inOrder(items, plan.orders[0])) {
    for (const driver of [full, pruned, restarted]) driver.give(item);
    if (random.chance(0.15)) restarted.restart();
    explained(full.seen, () => {
      for (const driver of [pruned, restarted]) {
        expectSame('digest', driver.ledger.digest(), full.ledger.digest());
        expectSame('state', hex(driver.ledger.books().encode()), hex(full.ledger.books().encode()));
      }
      expectAgreement(pruned, restarted);
    });
  }
}

function isTheModel(plan: Plan, make: MakeLedger): void {
  const { mesh, items } = play(plan);
  const driver = new Driver(make, mesh);
  for (const item of inOrder(items, plan.orders[0])) {
    driver.give(item);
    expectModel(driver);
  }
}

/* ---- What they have in common ---- */

function given(make: MakeLedger, mesh: LedgerMesh, items: readonly Item[]): Driver {
  const driver = new Driver(make, mesh);
  driver.giveAll(items);
  return driver;
}

function expectAgreement(one: Driver, other: Driver): void {
  expectSame('digest', other.ledger.digest(), one.ledger.digest());
  expectSame('state', hex(other.ledger.books().encode()), hex(one.ledger.books().encode()));
  if (one.contradicted || other.contradicted) return;
  expectSame('final state', hex(other.ledger.finalBooks().encode()), hex(one.ledger.finalBooks().encode()));
}

/** An entry and all that comes after it in its chain, names it, or rests on what does. */
function restingOn(items: readonly Item[], entry: Entry): Set<EntryId> {
  const resting = new Set([entry.id]);
  for (let size = 0; size < resting.size; ) {
    size = resting.size;
    for (const { id, previous, body } of entriesOf(items)) {
      if (resting.has(previous) || namesIn(body).some((name) => resting.has(name.id))) resting.add(id);
    }
  }
  return resting;
}

function chainOf({ taken }: NaiveLedger, tip: Entry): Entry[] {
  const chain: Entry[] = [];
  for (let at: Entry | undefined = tip; at !== undefined; at = taken.get(at.previous)) chain.push(at);
  return chain;
}

/** The same entry at another time: another id at the same place. */
function signedAgain(mesh: LedgerMesh, author: string, place: Entry, { taken }: NaiveLedger): Entry {
  const name = ACCOUNTS.find((candidate) => account(candidate).id === author) ?? '';
  const writer = new Writer(mesh, name, { behind: taken.get(place.previous), signed: false });
  return writer.write(place.body, place.timestamp + 1);
}

/** Shows the history with whatever fails. */
function explained(items: readonly Item[], look: () => void): void {
  try {
    look();
  } catch (error) {
    throw new Error(`${(error as Error).message}\nafter\n${tell(items)}`, { cause: error });
  }
}
