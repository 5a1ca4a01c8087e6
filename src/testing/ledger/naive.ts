/**
 * The ledger a second time, written from docs/ledger.md alone and from nothing else: everything is worked out anew from the set of
 * entries and the set of attestations, with sets and loops, and without a thought for speed. It is what the real ledger is
 * held against.
 *
 * Meant for some hundred entries: each of its steps goes over all of them until nothing changes any more.
 */

import { createHash } from 'node:crypto';
import type {
  AccountId,
  Attestation,
  Claim,
  Entry,
  EntryId,
  EntryName,
  Hold,
  LedgerMesh,
  Release,
  Transfer,
} from '../../ledger/entries/entry.ts';
import { encode } from '../../protocol/cbor.ts';
import { bytes, hex } from './authors.ts';

export interface OpenTransfer {
  readonly name: EntryName;
  readonly to: AccountId;
  readonly amount: bigint;
}

export interface OpenLeg {
  readonly hold: EntryName;
  readonly leg: number;
  readonly payee: AccountId;
  readonly max: bigint;
  paid: bigint;
  givenBack: bigint;
  closedBy: EntryName | undefined;
  readonly cap: bigint | undefined;
}

export interface NaiveLedger {
  /** Those whose past is there, by id. */
  readonly taken: ReadonlyMap<EntryId, Entry>;
  /** Ids of entries that certificates cover. */
  readonly covered: ReadonlySet<EntryId>;
  readonly standing: ReadonlySet<EntryId>;
  readonly final: ReadonlySet<EntryId>;
  /** The newest standing entry of each author that has one. */
  readonly tips: ReadonlyMap<AccountId, Entry>;
  readonly available: ReadonlyMap<AccountId, bigint>;
  readonly transfers: readonly OpenTransfer[];
  readonly legs: readonly OpenLeg[];
  /** What a standing entry did to its author's available. Nothing is said of those that did nothing. */
  readonly effects: ReadonlyMap<EntryId, bigint>;
  /** Standing transfers and holds that available did not cover. */
  readonly voided: ReadonlySet<EntryId>;
  /** Everything there is: available, open transfers and open legs. */
  readonly total: bigint;
  readonly state: Uint8Array;
  /** The state of the final entries alone: what a checkpoint signs. */
  readonly finalState: Uint8Array;
  readonly digest: string;
}

/** Says which of the entries that may be counted next is; every choice has to give the same. */
export type Choice = (ready: readonly Entry[]) => Entry | undefined;

export function foldNaively(
  mesh: LedgerMesh,
  entries: Iterable<Entry>,
  attestations: Iterable<Attestation>,
  choose: Choice = (ready) => ready[0],
): NaiveLedger {
  const certificates = certificatesIn(mesh, attestations);
  const taken = takeIn(mesh, [...entries], certificates);
  const covered = coveredBy(taken, certificates);
  const chains = chainsThatStand(mesh, taken, covered);
  const caps = capsOf(chains, covered);
  const counted = count(mesh, { taken, chains, caps, choose });
  const tips = tipsOf(chains);
  const final = finalOf(mesh, { taken, covered, chains, caps, certificates });
  const atLast = countFinal(mesh, { taken, chains, caps }, final);
  return {
    taken,
    covered,
    standing: new Set([...chains.values()].flat().map(({ id }) => id)),
    final,
    tips,
    ...counted,
    state: stateOf(tips, counted),
    finalState: stateOf(atLast.tips, atLast),
    digest: digestOf(tips),
  };
}

/* ---- What a ledger holds ---- */

interface Certificates {
  /** Whether there are enough attestations over just this name. */
  has(name: EntryName): boolean;
  /** Whether enough of them say that it is not late. */
  timely(name: EntryName): boolean;
}

function certificatesIn({ witnesses }: LedgerMesh, attestations: Iterable<Attestation>): Certificates {
  const bad = Math.floor((witnesses.length - 1) / 3);
  const quorum = Math.floor((witnesses.length + bad) / 2) + 1;
  const everybody = new Map<string, Set<AccountId>>();
  const notLate = new Map<string, Set<AccountId>>();
  for (const attestation of attestations) {
    if (!witnesses.includes(attestation.witness)) continue;
    for (const who of attestation.late ? [everybody] : [everybody, notLate]) {
      const key = textOf(attestation);
      who.set(key, (who.get(key) ?? new Set()).add(attestation.witness));
    }
  }
  return {
    has: (name) => (everybody.get(textOf(name))?.size ?? 0) >= quorum,
    timely: (name) => (notLate.get(textOf(name))?.size ?? 0) >= quorum,
  };
}

/** Takes in whatever has its past, until nothing more has. */
function takeIn(mesh: LedgerMesh, entries: readonly Entry[], certificates: Certificates): Map<EntryId, Entry> {
  const taken = new Map<EntryId, Entry>();
  let grew = true;
  while (grew) {
    grew = false;
    for (const entry of entries) {
      if (taken.has(entry.id) || !mayBeTaken(mesh, entry, taken, certificates)) continue;
      taken.set(entry.id, entry);
      grew = true;
    }
  }
  return taken;
}

function mayBeTaken(
  mesh: LedgerMesh,
  entry: Entry,
  taken: ReadonlyMap<EntryId, Entry>,
  certificates: Certificates,
): boolean {
  const named = namesOf(entry);
  if (entry.sequence === 0) {
    if (entry.previous !== hex(mesh.networkId)) return false;
    if (entry.author === mesh.founder) return named.every((name) => isThereOrCovered(name, taken, certificates));
    return isMeantFor(entry, taken);
  }
  const before = taken.get(entry.previous);
  if (before === undefined || before.author !== entry.author || before.sequence !== entry.sequence - 1) return false;
  return named.every((name) => isThereOrCovered(name, taken, certificates));
}

/** Whether the first entry of a log books credits that were meant for its author. */
function isMeantFor(entry: Entry, taken: ReadonlyMap<EntryId, Entry>): boolean {
  const { body } = entry;
  if (body.kind === 'accept') {
    const named = there(body.transfer, taken)?.body;
    return named?.kind === 'transfer' && named.to === entry.author;
  }
  if (body.kind === 'claim') {
    const named = there(body.hold, taken)?.body;
    return named?.kind === 'hold' && named.legs[body.leg]?.payee === entry.author;
  }
  return false;
}

function isThereOrCovered(name: EntryName, taken: ReadonlyMap<EntryId, Entry>, certificates: Certificates): boolean {
  return there(name, taken) !== undefined || isPlaceCovered(name, taken, certificates);
}

/** Whether any certificate of the author's chain reaches up to this place or past it. */
function isPlaceCovered(
  { author, sequence }: EntryName,
  taken: ReadonlyMap<EntryId, Entry>,
  certificates: Certificates,
): boolean {
  for (const entry of taken.values()) {
    if (entry.author === author && entry.sequence >= sequence && certificates.has(entry)) return true;
  }
  return false;
}

/** The entry of this name, at just the place that the name says. */
function there(name: EntryName, taken: ReadonlyMap<EntryId, Entry>): Entry | undefined {
  const entry = taken.get(name.id);
  return entry !== undefined && textOf(entry) === textOf(name) ? entry : undefined;
}

/** Ids of all entries at or before a certificate. */
function coveredBy(taken: ReadonlyMap<EntryId, Entry>, certificates: Certificates): Set<EntryId> {
  const covered = new Set<EntryId>();
  for (const entry of taken.values()) {
    if (!certificates.has(entry)) continue;
    for (let at: Entry | undefined = entry; at !== undefined; at = taken.get(at.previous)) covered.add(at.id);
  }
  return covered;
}

/* ---- Who stands ---- */

function chainsThatStand(
  mesh: LedgerMesh,
  taken: ReadonlyMap<EntryId, Entry>,
  covered: ReadonlySet<EntryId>,
): Map<AccountId, Entry[]> {
  const chains = new Map<AccountId, Entry[]>();
  for (const author of new Set([...taken.values()].map((entry) => entry.author))) {
    const chain = chainOf(author, hex(mesh.networkId), [...taken.values()], covered);
    if (chain.length > 0) chains.set(author, chain);
  }
  return chains;
}

function chainOf(author: AccountId, start: string, taken: readonly Entry[], covered: ReadonlySet<EntryId>): Entry[] {
  const chain: Entry[] = [];
  for (;;) {
    const where = chain.at(-1)?.id ?? start;
    const follow = taken.filter((entry) => entry.author === author && entry.previous === where);
    const certified = follow.filter(({ id }) => covered.has(id));
    const [next, ...others] = certified.length > 0 ? certified : follow;
    if (next === undefined || others.length > 0) return chain;
    chain.push(next);
  }
}

/* ---- What it is worth ---- */

interface Cap {
  readonly cumulative: bigint;
  /** The release alone that set it. */
  readonly by: Entry;
}

/** By the leg, as `legText` writes it. */
type Caps = ReadonlyMap<string, Cap>;

function capsOf(chains: ReadonlyMap<AccountId, readonly Entry[]>, covered: ReadonlySet<EntryId>): Caps {
  const caps = new Map<string, Cap>();
  for (const entry of [...chains.values()].flat()) {
    const { body } = entry;
    if (body.kind !== 'release' || !('alone' in body.rest) || !covered.has(entry.id)) continue;
    const leg = legText(body.hold, body.leg);
    if (!caps.has(leg)) caps.set(leg, { cumulative: body.rest.alone, by: entry });
  }
  return caps;
}

interface ToCount {
  readonly taken: ReadonlyMap<EntryId, Entry>;
  readonly chains: ReadonlyMap<AccountId, readonly Entry[]>;
  readonly caps: Caps;
  readonly choose: Choice;
}

type Counted = Pick<NaiveLedger, 'available' | 'transfers' | 'legs' | 'effects' | 'voided' | 'total'>;

/** Counts one entry after the other, each after everything it names and after the one before it. */
function count(mesh: LedgerMesh, { taken, chains, caps, choose }: ToCount): Counted {
  const worth = new Worth(mesh, caps);
  const left = new Set([...chains.values()].flat());
  const isDone = (id: EntryId) => ![...left].some((entry) => entry.id === id);
  while (left.size > 0) {
    const ready = [...left].filter(
      (entry) => isDone(entry.previous) && namesOf(entry).every((name) => isDone(there(name, taken)?.id ?? '')),
    );
    const next = choose(ready);
    if (next === undefined) throw new Error('entries name each other in a circle');
    worth.count(next);
    left.delete(next);
  }
  return worth.result();
}

class Worth {
  readonly #caps: Caps;
  readonly #available = new Map<AccountId, bigint>();
  readonly #transfers = new Map<string, OpenTransfer>();
  readonly #legs = new Map<string, OpenLeg>();
  readonly #effects = new Map<EntryId, bigint>();
  readonly #voided = new Set<EntryId>();

  constructor(mesh: LedgerMesh, caps: Caps) {
    this.#caps = caps;
    this.#available.set(mesh.founder, mesh.genesis);
  }

  count(entry: Entry): void {
    const { body } = entry;
    if (body.kind === 'transfer') this.#transfer(entry, body);
    if (body.kind === 'accept') this.#accept(entry, body.transfer);
    if (body.kind === 'hold') this.#hold(entry, body);
    if (body.kind === 'claim') this.#claim(entry, body);
    if (body.kind === 'release') this.#release(entry, body);
  }

  result(): Counted {
    const legs = [...this.#legs.values()];
    const transfers = [...this.#transfers.values()];
    let total = 0n;
    for (const amount of this.#available.values()) total += amount;
    for (const { amount } of transfers) total += amount;
    for (const { max, paid, givenBack } of legs) total += max - paid - givenBack;
    return { available: this.#available, transfers, legs, effects: this.#effects, voided: this.#voided, total };
  }

  #transfer(entry: Entry, { to, amount }: Transfer): void {
    if (!this.#spend(entry, amount)) return;
    this.#transfers.set(textOf(entry), { name: entry, to, amount });
  }

  #accept(entry: Entry, name: EntryName): void {
    const transfer = this.#transfers.get(textOf(name));
    if (transfer?.to !== entry.author) return;
    this.#transfers.delete(textOf(name));
    this.#add(entry, transfer.amount);
  }

  #hold(entry: Entry, { legs }: Hold): void {
    let sum = 0n;
    for (const { max } of legs) sum += max;
    if (!this.#spend(entry, sum)) return;
    for (const [leg, { payee, max }] of legs.entries()) {
      const cap = this.#caps.get(legText(entry, leg))?.cumulative;
      const open = { hold: entry, leg, payee, max, paid: 0n, givenBack: 0n, closedBy: undefined, cap };
      this.#legs.set(legText(entry, leg), open);
    }
  }

  #claim(entry: Entry, { hold, leg, cumulative, last }: Claim): void {
    const open = this.#legs.get(legText(hold, leg));
    if (open === undefined || open.payee !== entry.author || open.closedBy !== undefined) return;
    let worth = cumulative < open.max ? cumulative : open.max;
    if (open.cap !== undefined && open.cap < worth) worth = open.cap;
    if (worth > open.paid) {
      this.#add(entry, worth - open.paid);
      open.paid = worth;
    }
    if (last) open.closedBy = entry;
    this.#forgetIfEmpty(open);
  }

  #release(entry: Entry, { hold, leg, rest }: Release): void {
    const open = this.#legs.get(legText(hold, leg));
    if (open === undefined || hold.author !== entry.author || open.givenBack > 0n) return;
    if ('alone' in rest) {
      if (this.#caps.get(legText(hold, leg))?.by.id !== entry.id || rest.alone >= open.max) return;
      open.givenBack = open.max - rest.alone;
    } else {
      if (open.closedBy === undefined || textOf(open.closedBy) !== textOf(rest.claim)) return;
      open.givenBack = open.max - open.paid;
    }
    this.#add(entry, open.givenBack);
    this.#forgetIfEmpty(open);
  }

  #forgetIfEmpty({ hold, leg, max, paid, givenBack }: OpenLeg): void {
    if (max - paid - givenBack === 0n) this.#legs.delete(legText(hold, leg));
  }

  /** Whether the author's available covers the amount, which then is gone from it. */
  #spend(entry: Entry, amount: bigint): boolean {
    if ((this.#available.get(entry.author) ?? 0n) < amount) {
      this.#voided.add(entry.id);
      return false;
    }
    this.#add(entry, -amount);
    return true;
  }

  #add(entry: Entry, amount: bigint): void {
    this.#available.set(entry.author, (this.#available.get(entry.author) ?? 0n) + amount);
    this.#effects.set(entry.id, amount);
  }
}

/* ---- Finality ---- */

interface ToFinish extends Omit<ToCount, 'choose'> {
  readonly covered: ReadonlySet<EntryId>;
  readonly certificates: Certificates;
}

/** Goes over all standing entries until no more of them are final. */
function finalOf(mesh: LedgerMesh, { taken, covered, chains, caps, certificates }: ToFinish): Set<EntryId> {
  const final = new Set<EntryId>();
  const standing = new Set([...chains.values()].flat().map(({ id }) => id));
  const rests = (name: EntryName) => {
    const entry = there(name, taken);
    if (entry !== undefined && standing.has(entry.id)) return final.has(entry.id);
    return isPlaceCovered(name, taken, certificates);
  };
  /** Asked of claims whose hold rests. */
  const inTime = ({ body, ...name }: Entry) => {
    if (body.kind !== 'claim') return true;
    const leg = legText(body.hold, body.leg);
    const cap = caps.get(leg);
    if (certificates.timely(name) && (cap === undefined || body.cumulative <= cap.cumulative)) return true;
    if (cap !== undefined && final.has(cap.by.id)) return true;
    // The hold is final or certified away. If that leaves no open leg, there never will be one.
    const { legs } = countFinal(mesh, { taken, chains, caps }, final);
    return !legs.some((open) => legText(open.hold, open.leg) === leg);
  };
  let grew = true;
  while (grew) {
    grew = false;
    for (const chain of chains.values()) {
      for (const entry of chain) {
        if (final.has(entry.id)) continue;
        if (!covered.has(entry.id) || !namesOf(entry).every(rests) || !inTime(entry)) break;
        final.add(entry.id);
        grew = true;
      }
    }
  }
  return final;
}

/** Counts only what is final, under the caps that are. */
function countFinal(mesh: LedgerMesh, { taken, chains, caps }: Omit<ToCount, 'choose'>, final: ReadonlySet<EntryId>) {
  const finalChains = new Map<AccountId, Entry[]>();
  for (const [author, chain] of chains) {
    const part = chain.filter(({ id }) => final.has(id));
    if (part.length > 0) finalChains.set(author, part);
  }
  const finalCaps = new Map([...caps].filter(([, { by }]) => final.has(by.id)));
  const counted = count(mesh, { taken, chains: finalChains, caps: finalCaps, choose: ([first]) => first });
  return { ...counted, tips: tipsOf(finalChains) };
}

/* ---- State in canonical form ---- */

function tipsOf(chains: ReadonlyMap<AccountId, readonly Entry[]>): Map<AccountId, Entry> {
  return new Map([...chains].map(([author, chain]) => [author, chain.at(-1) as Entry]));
}

function stateOf(tips: ReadonlyMap<AccountId, Entry>, { available, transfers, legs }: Counted): Uint8Array {
  const wire = ({ author, sequence, id }: EntryName) => [bytes(author), sequence, bytes(id)];
  return encode([
    [...tips.values()].toSorted(byPlace).map((tip) => [...wire(tip), available.get(tip.author) ?? 0n]),
    transfers
      .toSorted((one, other) => byPlace(one.name, other.name))
      .map(({ name, to, amount }) => [...wire(name), bytes(to), amount]),
    legs
      .toSorted((one, other) => byPlace(one.hold, other.hold) || one.leg - other.leg)
      .map((open) => [
        ...wire(open.hold),
        open.leg,
        bytes(open.payee),
        open.max,
        open.paid,
        open.givenBack,
        open.closedBy === undefined ? [] : [open.closedBy.sequence, bytes(open.closedBy.id)],
        open.cap === undefined ? [] : [open.cap],
      ]),
  ]);
}

function digestOf(tips: ReadonlyMap<AccountId, Entry>): string {
  const names = [...tips.values()]
    .toSorted(byPlace)
    .map(({ author, sequence, id }) => [bytes(author), sequence, bytes(id)]);
  return createHash('sha256').update(encode(names)).digest('hex');
}

function byPlace(one: EntryName, other: EntryName): number {
  if (one.author !== other.author) return one.author < other.author ? -1 : 1;
  return one.sequence - other.sequence;
}

/* ---- Names ---- */

function namesOf({ body }: Entry): EntryName[] {
  if (body.kind === 'accept') return [body.transfer];
  if (body.kind === 'claim') return [body.hold];
  if (body.kind === 'release') return 'claim' in body.rest ? [body.hold, body.rest.claim] : [body.hold];
  return [];
}

function textOf({ author, sequence, id }: EntryName): string {
  return `${author}/${sequence}/${id}`;
}

function legText(hold: EntryName, leg: number): string {
  return `${textOf(hold)}/${leg}`;
}
