/**
 * What cheating accounts try. They sign whatever they like and hand it to whom they like, past the author of their node; what
 * they go on from is what some honest node holds for standing.
 */

import type { Ledger } from '../../ledger/books/ledger.ts';
import type { AccountId, Entry, EntryBody, EntryName, LedgerMesh } from '../../ledger/entries/entry.ts';
import { sealEntry } from '../../ledger/entries/entry-codec.ts';
import { hexOf } from '../../ledger/entries/fields.ts';
import { signVoucher } from '../../ledger/entries/voucher.ts';
import { encode } from '../../protocol/cbor.ts';
import { sha256 } from '../../protocol/hash.ts';
import { type Random, randomOf } from '../sim/random.ts';
import type { World } from '../sim/world.ts';
import { accountIdOf, accountSigner, nowhere } from './accounts.ts';
import type { SimMesh } from './mesh.ts';
import type { CheatKind, CheatPlan, Plan } from './plan.ts';
import type { Spends } from './spends.ts';

export interface CheatStage {
  readonly world: World;
  readonly plan: Plan;
  readonly mesh: LedgerMesh;
  readonly links: SimMesh;
  readonly spends: Spends;
  /** The ledger of a node that runs, the account's own if it can be. */
  readonly view: (home: number) => Ledger | undefined;
}

/** Nobody waits seven days in a history. */
const MOST_LONE_RELEASE_MS = 60_000;
/** Transfers that it books at once. */
const MAX_ACCEPTS = 4;

/** Entries that one account writes, one behind the other, wherever it begins. */
class Log {
  readonly account: number;
  readonly id: AccountId;
  readonly entries: Entry[] = [];
  tip: EntryName | undefined;
  readonly #stage: CheatStage;

  constructor(account: number, tip: EntryName | undefined, stage: CheatStage) {
    this.account = account;
    this.id = accountIdOf(account);
    this.tip = tip;
    this.#stage = stage;
  }

  write(body: EntryBody): Entry {
    const { mesh, world } = this.#stage;
    const entry = sealEntry(mesh, accountSigner(this.account), {
      sequence: this.tip === undefined ? 0 : this.tip.sequence + 1,
      previous: this.tip?.id ?? hexOf(mesh.networkId),
      timestamp: world.clock.now(),
      body,
    });
    this.entries.push(entry);
    this.tip = nameOf(entry);
    return entry;
  }

  /** Another log that goes on from the same entry. */
  branch(): Log {
    return new Log(this.account, this.tip, this.#stage);
  }
}

/** One try of one account. */
class Try {
  readonly #cheat: CheatPlan;
  readonly #stage: CheatStage;
  readonly #random: Random;
  readonly #view: Ledger;

  constructor(cheat: CheatPlan, stage: CheatStage, view: Ledger) {
    this.#cheat = cheat;
    this.#stage = stage;
    this.#random = randomOf(cheat.seed, 'cheat');
    this.#view = view;
  }

  run(): void {
    const log = this.#begin(this.#cheat.account);
    const income = this.#view.openTransfersTo(log.id).slice(0, MAX_ACCEPTS);
    const available = this.#view.available(log.id).available + income.reduce((sum, { amount }) => sum + amount, 0n);
    if (log.tip === undefined) {
      this.#stage.world.count('cheats without a log');
      return;
    }
    const { kind } = this.#cheat;
    this.#stage.world.count(`cheats: ${kind}`);
    const tries: Readonly<Record<CheatKind, () => void>> = {
      split: () => this.#split(log, available),
      late: () => this.#late(log, available),
      launder: () => this.#launder(log, available),
      league: () => this.#league(log, available),
      'over-claim': () => this.#overClaim(log, available),
      twice: () => this.#twice(log),
      overspend: () => this.#overspend(log, available),
    };
    tries[kind]();
  }

  /** Its log as it stands, with what it books first. */
  #begin(account: number): Log {
    const id = accountIdOf(account);
    const log = new Log(account, this.#view.tip(id), this.#stage);
    for (const { name } of this.#view.openTransfersTo(id).slice(0, MAX_ACCEPTS)) {
      log.write({ kind: 'accept', transfer: name });
    }
    return log;
  }

  /** Several entries for one place, each shown to a part of the mesh. */
  #split(log: Log, available: bigint): void {
    for (let way = 0; way < this.#cheat.ways; way++) {
      const branch = log.branch();
      branch.write(this.#random.chance(0.7) ? this.#payment(log, available) : this.#hold(log, available));
      if (this.#random.chance(0.3)) branch.write(this.#payment(log, 10n));
      this.#show([...log.entries, ...branch.entries], this.#some());
    }
  }

  /** Everybody sees one entry, and long after it another one for its place. */
  #late(log: Log, available: bigint): void {
    const before = log.branch();
    const first = log.branch();
    first.write(this.#payment(log, available));
    for (let more = 0; more < this.#cheat.back; more++) first.write(this.#payment(log, 1n));
    this.#show([...log.entries, ...first.entries], this.#all());
    this.#stage.world.clock.after(this.#cheat.lateMs, () => {
      for (let way = 1; way < this.#cheat.ways; way++) {
        const late = before.branch();
        late.write(this.#payment(log, available));
        this.#show(late.entries, this.#some());
      }
    });
  }

  /** A fork to own keys, each of which pays honest ones at once. */
  #launder(log: Log, available: bigint): void {
    const own = this.#others(log.account, true);
    for (let way = 0; way < this.#cheat.ways && own.length > 0; way++) {
      const washer = own[way % own.length] as number;
      const branch = log.branch();
      const amount = available > 0n ? available : 1n;
      const paid = branch.write(this.#transfer(accountIdOf(washer), amount, way));
      const wash = this.#begin(washer);
      wash.write({ kind: 'accept', transfer: nameOf(paid) });
      wash.write(this.#payment(wash, amount));
      this.#show([...log.entries, ...branch.entries, ...wash.entries], this.#some());
    }
  }

  /** The payer takes back alone what the payee claims. */
  #league(log: Log, available: bigint): void {
    const [payee] = this.#others(log.account, true);
    if (payee === undefined) return;
    const max = available > 1n ? available : 2n;
    const hold = log.write({ kind: 'hold', legs: [{ payee: accountIdOf(payee), max }] });
    this.#show(log.entries, this.#all());
    const { world, plan } = this.#stage;
    // The payee comes with its voucher at once, or when the release may have its certificate.
    const waits = plan.loneReleaseMs <= MOST_LONE_RELEASE_MS && this.#random.chance(0.5);
    const claimsAfterMs = waits ? 1.5 * plan.loneReleaseMs : 0;
    const sides = this.#random.chance(0.5);
    world.clock.after(this.#cheat.lateMs, () => {
      const release = log.branch();
      release.write({ kind: 'release', hold: nameOf(hold), leg: 0, rest: { alone: max / 4n } });
      release.write(this.#payment(log, max));
      this.#show(release.entries, sides ? this.#some() : this.#all());
    });
    world.clock.after(this.#cheat.lateMs + claimsAfterMs, () => {
      const claims = this.#begin(payee);
      claims.write(this.#claim(hold, log.account, (max * 3n) / 4n, this.#random.chance(0.5)));
      this.#show(claims.entries, sides ? this.#some() : this.#all());
    });
  }

  /** Claims above what was held, smaller ones behind larger ones, and a release that no claim closed. */
  #overClaim(log: Log, available: bigint): void {
    const [payee] = this.#others(log.account, true);
    if (payee === undefined) return;
    const max = available > 1n ? available / 2n + 1n : 2n;
    const hold = log.write({ kind: 'hold', legs: [{ payee: accountIdOf(payee), max }] });
    const claims = this.#begin(payee);
    const first = claims.write(this.#claim(hold, log.account, max * 3n, false));
    claims.write(this.#claim(hold, log.account, max / 2n, this.#random.chance(0.5)));
    claims.write(this.#claim(hold, log.account, max * 2n, true));
    claims.write(this.#payment(claims, max * 2n));
    for (const claim of [first, ...claims.entries.slice(-2, -1)]) {
      log.write({ kind: 'release', hold: nameOf(hold), leg: 0, rest: { claim: nameOf(claim) } });
    }
    this.#show([...log.entries, ...claims.entries].toSorted(byNeed), this.#all());
  }

  /** Books what is booked already, and what is another's. */
  #twice(log: Log): void {
    const booked = log.entries.flatMap(({ body }) => (body.kind === 'accept' ? [body.transfer] : []));
    const others = this.#others(log.account, false).flatMap((account) =>
      this.#view.openTransfersTo(accountIdOf(account)).map(({ name }) => name),
    );
    for (const transfer of [...booked, ...others.slice(0, 2)]) log.write({ kind: 'accept', transfer });
    log.write(this.#payment(log, 1n));
    this.#show(log.entries, this.#all());
  }

  #overspend(log: Log, available: bigint): void {
    log.write(this.#payment(log, available * 2n + 1n));
    log.write(this.#payment(log, available));
    log.write(this.#payment(log, available));
    this.#show(log.entries, this.#all());
  }

  /* ---- entries ---- */

  #payment(log: Log, amount: bigint): EntryBody {
    const to = this.#random.pick(this.#others(log.account, undefined));
    return this.#transfer(accountIdOf(to), amount > 0n ? amount : 1n, this.#random.int(0, 1_000_000));
  }

  #transfer(to: AccountId, amount: bigint, memo: number): EntryBody {
    return { kind: 'transfer', to, amount, memo: `${memo}` };
  }

  #hold(log: Log, available: bigint): EntryBody {
    const payees = this.#random.some(this.#others(log.account, undefined), 2).map(accountIdOf);
    const max = available / 2n + 1n;
    return { kind: 'hold', legs: payees.map((payee) => ({ payee, max })) };
  }

  #claim(hold: Entry, payer: number, cumulative: bigint, last: boolean): EntryBody {
    const voucher = { hold: nameOf(hold), leg: 0, cumulative, receiptHash: sha256(encode(['receipt', cumulative])) };
    const voucherSignature = signVoucher(this.#stage.mesh.networkId, accountSigner(payer), voucher);
    return { kind: 'claim', ...voucher, voucherSignature, last };
  }

  /** Other accounts in random order. @param cheat those that cheat, those that do not, or all */
  #others(account: number, cheat: boolean | undefined): number[] {
    const { accounts } = this.#stage.plan;
    const fit = accounts.flatMap(({ cheats }, index) =>
      index === account || (cheat !== undefined && cheats !== cheat) ? [] : [index],
    );
    return this.#random.some(fit, 8);
  }

  /* ---- to whom ---- */

  #all(): number[] {
    return this.#stage.plan.nodes.map((_, index) => index);
  }

  #some(): number[] {
    const all = this.#all();
    return this.#random.some(all, Math.max(1, Math.round(all.length * this.#cheat.share)));
  }

  #show(entries: readonly Entry[], to: readonly number[]): void {
    const { world, links, spends } = this.#stage;
    if (entries.length === 0) return;
    for (const entry of entries) spends.shown(entry);
    const sealed = entries.map((entry) => entry.sealed);
    const hint = encode([sealed, []]);
    const from = nowhere(this.#cheat.account);
    for (const node of to) {
      if (this.#random.chance(0.6)) links.slip(hint, node, from);
      else links.slipEntries(sealed, node, from);
    }
    const what = entries.map(
      ({ author, sequence, id, body }) => `${author}/${sequence} ${body.kind} ${id.slice(0, 6)}`,
    );
    world.note(undefined, this.#cheat.account, `CHEAT ${this.#cheat.kind} to ${names(to)}: ${what.join(', ')}`);
  }
}

/** A cheating account tries something. */
export function cheat(plan: CheatPlan, stage: CheatStage): void {
  const view = stage.view(stage.plan.accounts[plan.account]?.home ?? 0);
  if (view !== undefined) new Try(plan, stage, view).run();
}

export function nameOf({ author, sequence, id }: EntryName): EntryName {
  return { author, sequence, id };
}

function names(nodes: readonly number[]): string {
  return nodes.map((node) => `n${node}`).join(' ');
}

/** Releases come behind the claims that they name. */
function byNeed(a: Entry, b: Entry): number {
  const order = ({ body }: Entry) => (body.kind === 'release' ? 1 : 0);
  return order(a) - order(b);
}
