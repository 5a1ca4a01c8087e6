/** Plays a plan: out come the entries and attestations of a whole mesh, in the order in which they came to be. */

import type { AccountId, Attestation, Entry, EntryBody, EntryName, LedgerMesh } from '../../ledger/entries/entry.ts';
import { type Random, randomOf } from '../sim/random.ts';
import { account, attest, FOUNDER, meshOf, nameOf, Writer, witnessesOf } from './authors.ts';
import { HonestAuthor } from './honest-author.ts';
import { HonestWitness } from './honest-witness.ts';
import { foldNaively, type NaiveLedger } from './naive.ts';
import { ACCOUNTS, type LieStep, type Order, type Plan, type Step, type WriteStep } from './plans.ts';

/** What goes from node to node. */
export type Item =
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'attestation'; readonly attestation: Attestation };

/** A transfer or hold of an honest author. */
export interface Spent {
  readonly entry: Entry;
  /** What its node had heard then. */
  readonly heard: readonly Item[];
  /** Whether nothing but final credits was spent. */
  readonly ofFinal: boolean;
}

export interface History {
  readonly mesh: LedgerMesh;
  readonly items: readonly Item[];
  /** Whether at most f witnesses lie: what is final then never changes. */
  readonly mostAreHonest: boolean;
  readonly honest: ReadonlySet<AccountId>;
  readonly spent: readonly Spent[];
}

const GENESIS = 1_000n;
/** What dishonest authors write; the last is all there is. */
const AMOUNTS = [40n, 10n, 100n, 1n, 250n, 500n, GENESIS];

export function play(plan: Plan): History {
  const stage = new Stage(plan);
  stage.fund(plan.funded);
  for (const [index, step] of plan.steps.entries()) stage.play(step, randomOf(index, 'step'));
  return stage.history();
}

/** The items in the order in which a node gets them, some of them twice. */
export function inOrder(items: readonly Item[], { by, seed, again }: Order): Item[] {
  const random = randomOf(seed, by);
  const all = items.flatMap((item) => (random.int(0, 7) < again ? [item, item] : [item]));
  const rank = (index: number, { type }: Item): number => {
    if (by === 'time') return index;
    if (by === 'backward') return -index;
    if (by === 'nearly') return index + random.int(0, 12);
    if (by === 'shuffled') return random.next();
    return (by === 'entries-first') === (type === 'entry') ? index : index + all.length;
  };
  return all
    .map((item, index) => ({ item, rank: rank(index, item) }))
    .toSorted((one, other) => one.rank - other.rank)
    .map(({ item }) => item);
}

export function entriesOf(items: readonly Item[]): Entry[] {
  return items.flatMap((item) => (item.type === 'entry' ? [item.entry] : []));
}

export function attestationsOf(items: readonly Item[]): Attestation[] {
  return items.flatMap((item) => (item.type === 'attestation' ? [item.attestation] : []));
}

function isFor(account: AccountId, body: EntryBody): boolean {
  return body.kind === 'transfer' && body.to === account;
}

class Stage {
  readonly #mesh: LedgerMesh;
  readonly #items: Item[] = [];
  readonly #seen = new Set<string>();
  readonly #liars: readonly string[];
  readonly #mostAreHonest: boolean;
  readonly #witnesses: readonly HonestWitness[];
  readonly #honest = new Map<string, HonestAuthor>();
  /** Which items a node has heard of, by its account's or witness's name. */
  readonly #heard = new Map<string, Set<Item>>();
  readonly #spent: Spent[] = [];
  #day = 30;

  constructor(plan: Plan) {
    this.#mesh = meshOf({ witnesses: plan.witnesses, genesis: GENESIS });
    const names = witnessesOf(this.#mesh);
    const few = Math.floor((names.length - 1) / 3);
    const liars = { none: 0, some: few, all: names.length }[plan.lying];
    this.#liars = names.slice(names.length - liars);
    this.#mostAreHonest = liars <= few;
    this.#witnesses = names
      .filter((name) => !this.#liars.includes(name))
      .map((name) => new HonestWitness(this.#mesh, name));
    for (const [index, name] of ACCOUNTS.entries()) {
      if ((plan.honest & (1 << index)) !== 0) this.#honest.set(name, new HonestAuthor(this.#mesh, name));
    }
  }

  history(): History {
    return {
      mesh: this.#mesh,
      items: this.#items,
      mostAreHonest: this.#mostAreHonest,
      honest: new Set([...this.#honest.values()].map(({ id }) => id)),
      spent: this.#spent,
    };
  }

  /** The founder gives credits to the first few accounts, which book them. */
  fund(count: number): void {
    for (const name of ACCOUNTS.slice(1, 1 + count)) {
      const founder = new Writer(this.#mesh, FOUNDER, { behind: this.#logOf(FOUNDER).at(-1), signed: false });
      const grant = this.#add(FOUNDER, founder.transfer(name, 200n));
      this.#hear(name, 4, randomOf(0, name));
      this.#add(name, new Writer(this.#mesh, name, { signed: false }).accept(grant));
    }
  }

  play(step: Step, random: Random): void {
    switch (step.act) {
      case 'write': {
        const name = this.#whoWrites(step);
        const honest = this.#honest.get(name);
        if (honest === undefined) this.#writeAnything(name, step);
        else this.#writeHonestly(honest, step);
        break;
      }
      case 'hear':
        this.#hear(ACCOUNTS[step.node] ?? FOUNDER, step.share, random);
        break;
      case 'attest':
        for (const [index, witness] of this.#witnesses.entries()) {
          if ((step.who & (1 << index)) !== 0) this.#attest(witness, step.share, random);
        }
        break;
      case 'lie':
        this.#lie(step);
        break;
      case 'wait':
        this.#day += step.days;
        for (const [index, witness] of this.#witnesses.entries()) {
          if ((step.restarted & (1 << index)) !== 0) witness.restart(this.#day);
        }
    }
  }

  /** Mostly somebody who has to do with the newest transfers and holds; else hardly anybody would claim anything. */
  #whoWrites({ what, author, about, leg }: WriteStep): string {
    const named = ACCOUNTS[author] ?? FOUNDER;
    const kind = what === 'accept' ? 'transfer' : 'hold';
    const subject = this.#pick(({ body }) => body.kind === kind, about);
    if (author === 0 || leg === 3 || subject === undefined || what === 'transfer' || what === 'hold') return named;
    const { body } = subject;
    const payees =
      body.kind === 'transfer' ? [body.to] : body.kind === 'hold' ? body.legs.map(({ payee }) => payee) : [];
    const candidates = what === 'accept' || what === 'claim' ? payees : [subject.author];
    const id = candidates[leg % Math.max(1, candidates.length)];
    return ACCOUNTS.find((name) => account(name).id === id) ?? named;
  }

  #writeHonestly(author: HonestAuthor, step: WriteStep): void {
    const log = this.#logOf(author.name);
    const view = this.#viewOf(author.name);
    const heard = [...this.#heardBy(author.name)];
    const entry = author.write({ step, view, log, payers: this.#honest, day: this.#day });
    if (entry === undefined) return;
    this.#add(author.name, entry);
    if (entry.body.kind !== 'transfer' && entry.body.kind !== 'hold') return;
    this.#spent.push({ entry, heard, ofFinal: author.spendsFinal(view, log, entry) });
  }

  /** Whatever comes to mind of somebody who may sign what he likes. */
  #writeAnything(name: string, step: WriteStep): void {
    const log = this.#logOf(name);
    const behind = step.back > log.length ? undefined : log.at(-1 - step.back);
    const writer = new Writer(this.#mesh, name, { behind: step.back === 0 ? log.at(-1) : behind, signed: false });
    const entry = this.#anything(writer, step);
    if (entry !== undefined) this.#add(name, entry);
  }

  #anything(writer: Writer, step: WriteStep): Entry | undefined {
    const others = ACCOUNTS.filter((name) => name !== writer.account.name);
    const to = others[step.to % others.length] ?? FOUNDER;
    const amount = AMOUNTS[step.amount] ?? 1n;
    const cumulative = step.amount === 6 ? 0n : amount;
    const about = (fits: (entry: Entry) => boolean) => {
      const entry = this.#pick(fits, step.about);
      return entry === undefined ? undefined : this.#oddName(entry, step);
    };
    switch (step.what) {
      case 'transfer':
        return writer.transfer(to, amount);
      case 'accept': {
        const kind = step.odd === 'author' ? 'hold' : 'transfer';
        const transfer = about(({ body }) => body.kind === kind && (step.leg > 0 || isFor(writer.id, body)));
        return transfer && writer.accept(transfer);
      }
      case 'hold': {
        const legs = Array.from({ length: 1 + step.leg }, (_, leg) => others[(step.to + leg) % others.length] ?? to);
        return writer.hold(...legs.map((payee) => [payee, amount] as const));
      }
      case 'claim': {
        const hold = this.#pick(({ body, author }) => body.kind === 'hold' && author !== writer.id, step.about);
        if (hold?.body.kind !== 'hold') return undefined;
        const mine = hold.body.legs.findIndex(({ payee }) => payee === writer.id);
        const leg = mine < 0 || step.odd === 'author' ? step.about % (hold.body.legs.length + 1) : mine;
        return writer.claim(this.#oddName(hold, step), cumulative, { leg, last: step.last });
      }
      case 'release': {
        const claim = this.#pick(({ body }) => body.kind === 'claim' && body.hold.author === writer.id, step.about);
        if (claim?.body.kind !== 'claim') return undefined;
        return writer.release(claim.body.hold, this.#oddName(claim, step), claim.body.leg);
      }
      case 'alone': {
        const hold = about(({ body, author }) => body.kind === 'hold' && author === writer.id);
        return hold && writer.releaseAlone(hold, cumulative, step.leg);
      }
    }
  }

  /** A name that is right, or of another place, or of an account that has no such entry, or of an entry that nobody has. */
  #oddName({ author, sequence, id }: Entry, { odd }: WriteStep): EntryName {
    if (odd === 'place') return { author, sequence: sequence === 0 ? 1 : sequence - 1, id };
    if (odd === 'id') return { author, sequence, id: id.replaceAll(/[0-7]/g, 'e') };
    return { author, sequence, id };
  }

  #lie({ who, about, late }: LieStep): void {
    const entry = this.#pick(() => true, about);
    if (entry === undefined) return;
    for (const [index, liar] of this.#liars.entries()) {
      if ((who & (1 << index)) !== 0) this.#addAttestation(liar, attest(this.#mesh, liar, entry, late, false));
    }
  }

  #attest(witness: HonestWitness, share: number, random: Random): void {
    this.#hear(witness.name, share, random);
    const view = this.#viewOf(witness.name);
    for (const attestation of witness.attest(view, this.#day)) this.#addAttestation(witness.name, attestation);
  }

  #hear(node: string, share: number, random: Random): void {
    const heard = this.#heardBy(node);
    for (const item of this.#items) if (random.int(1, 4) <= share) heard.add(item);
  }

  #heardBy(node: string): Set<Item> {
    const known = this.#heard.get(node);
    if (known !== undefined) return known;
    const made = new Set<Item>();
    this.#heard.set(node, made);
    return made;
  }

  #viewOf(node: string): NaiveLedger {
    const heard = [...this.#heardBy(node)];
    return foldNaively(this.#mesh, entriesOf(heard), attestationsOf(heard));
  }

  #pick(fits: (entry: Entry) => boolean, about: number): Entry | undefined {
    const fitting = entriesOf(this.#items).filter(fits);
    return fitting[fitting.length - 1 - (about % Math.max(1, fitting.length))];
  }

  /** Everything that an account wrote, in the order in which it did. */
  #logOf(name: string): Entry[] {
    const { id } = account(name);
    return entriesOf(this.#items).filter(({ author }) => author === id);
  }

  #add(node: string, entry: Entry): Entry {
    if (!this.#seen.has(entry.id)) this.#put(node, entry.id, { type: 'entry', entry });
    return entry;
  }

  #addAttestation(node: string, attestation: Attestation): void {
    const key = `${attestation.witness}/${JSON.stringify(nameOf(attestation))}/${attestation.late}`;
    if (!this.#seen.has(key)) this.#put(node, key, { type: 'attestation', attestation });
  }

  #put(node: string, key: string, item: Item): void {
    this.#seen.add(key);
    this.#items.push(item);
    this.#heardBy(node).add(item);
  }
}
