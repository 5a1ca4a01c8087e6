/** What the users of honest accounts do: they pay each other, and serve each other on holds. */

import { type ErrorCode, toGoGridError } from '../../errors.ts';
import type { AccountId, Entry, EntryName } from '../../ledger/entries/entry.ts';
import type { Author } from '../../ledger/own/author.ts';
import type { Vouchers } from '../../ledger/own/vouchers.ts';
import { nameOnly } from '../../ledger/views.ts';
import { encode } from '../../protocol/cbor.ts';
import { sha256 } from '../../protocol/hash.ts';
import type { Process } from '../sim/process.ts';
import type { World } from '../sim/world.ts';
import { accountIdOf } from './accounts.ts';
import type { SimMesh } from './mesh.ts';
import type { MovePlan, Plan } from './plan.ts';

/** An account in the hands of a program. */
export interface Wallet {
  readonly account: number;
  readonly process: Process;
  readonly author: Author;
  readonly vouchers: Vouchers;
}

export interface UserStage {
  readonly world: World;
  readonly plan: Plan;
  readonly links: SimMesh;
  /** Of an honest account whose node runs. */
  readonly wallet: (account: number) => Wallet | undefined;
  /** An author has said that an entry is written. */
  readonly acknowledged: (wallet: Wallet, entry: Entry) => void;
}

/** Answers that a user may get without anybody being at fault. */
const MAY_SAY: ReadonlySet<ErrorCode> = new Set([
  'insufficient_credits',
  'ledger_not_ready',
  'ledger_stopped',
  'overloaded',
  'shutting_down',
  'invalid_request',
]);
const RETRY: ReadonlySet<ErrorCode> = new Set(['ledger_not_ready', 'overloaded', 'insufficient_credits']);
const TRIES = 4;
const TRY_AGAIN_MS = 4_000;

type Channel = Extract<MovePlan, { kind: 'channel' }>;

export class Users {
  readonly #stage: UserStage;

  constructor(stage: UserStage) {
    this.#stage = stage;
  }

  /** The founder pays everybody, as fast as its disk can. */
  grant(): void {
    const { plan } = this.#stage;
    for (let account = 1; account < plan.accounts.length; account++) {
      this.#try(0, `grants a${account}`, account, ({ author }) =>
        author.transfer({ to: accountIdOf(account), amount: BigInt(plan.grant), memo: 'grant' }),
      );
    }
  }

  move(move: MovePlan): void {
    if (move.kind === 'pay') {
      const { to, amount } = move;
      this.#try(move.from, `pays ${amount} to ${accountIdOf(to)}`, move.index, ({ author }) =>
        author.transfer({ to: accountIdOf(to), amount: BigInt(amount), memo: '' }),
      );
    } else {
      const legs = move.legs.map(({ to, max }) => ({ payee: accountIdOf(to), max: BigInt(max) }));
      this.#try(
        move.from,
        `holds for ${legs.map(({ payee, max }) => `${payee} ${max}`).join(', ')}`,
        move.index,
        ({ author }) => author.hold(legs),
        (payer, hold) => this.#serve(move, payer, nameOnly(hold)),
      );
    }
  }

  /** @param then what follows when it is written */
  #try(
    account: number,
    what: string,
    index: number,
    act: (wallet: Wallet) => Promise<Entry>,
    then: (wallet: Wallet, entry: Entry) => void = () => {},
    tries = TRIES,
  ): void {
    const { world, wallet: walletOf, acknowledged } = this.#stage;
    const wallet = walletOf(account);
    const again = () => {
      if (tries > 1) world.clock.after(TRY_AGAIN_MS, () => this.#try(account, what, index, act, then, tries - 1));
    };
    if (wallet === undefined) {
      again();
      return;
    }
    const { process } = wallet;
    const note = (text: string) => world.note(process.node, account, `${what}: ${text}`);
    process.deliver(() => {
      act(wallet).then(
        (entry) => {
          if (!process.isAlive) return;
          world.count(`written: ${entry.body.kind}`);
          note(`written as ${entry.sequence} ${entry.id.slice(0, 6)}`);
          acknowledged(wallet, entry);
          then(wallet, entry);
        },
        (thrown) => {
          if (!process.isAlive) return;
          const { code, message } = toGoGridError(thrown);
          world.count(`refused: ${code}`);
          note(`${code} (${message})`);
          if (!MAY_SAY.has(code)) world.violate('answer-clear', `${what}: ${code}: ${message}`, process.node);
          if (RETRY.has(code)) again();
        },
      );
    });
  }

  /** Vouchers go to the payee of every leg, step by step. */
  #serve(move: Channel, payer: Wallet, hold: EntryName): void {
    move.legs.forEach(({ to, max, leaves }, leg) => {
      const steps = Math.max(1, move.steps);
      for (let step = 1; step <= move.steps; step++) {
        const cumulative = BigInt(Math.max(1, Math.floor((max * step) / (steps + 1))));
        payer.process.clock.after(step * move.everyMs, () => void this.#promise(payer, hold, { leg, to, cumulative }));
      }
      if (!leaves)
        payer.process.clock.after((move.steps + 1) * move.everyMs, () => this.#close(move, payer, { hold, leg, to }));
    });
  }

  async #promise(
    payer: Wallet,
    hold: EntryName,
    { leg, to, cumulative }: { leg: number; to: number; cumulative: bigint },
  ): Promise<void> {
    const { links, plan, wallet: walletOf, world } = this.#stage;
    try {
      await payer.vouchers.mayPromise(hold, leg, cumulative);
      const receiptHash = sha256(encode(['receipt', cumulative]));
      const signature = payer.vouchers.sign({ hold, leg, cumulative, receiptHash });
      const home = plan.accounts[to]?.home ?? 0;
      const voucher = { hold, leg, cumulative, receiptHash, signature };
      world.count('vouchers given');
      links.carry(payer.process, home, () => {
        void walletOf(to)
          ?.vouchers.receive(voucher)
          .catch(() => undefined);
      });
    } catch (thrown) {
      world.count(`vouchers refused: ${toGoGridError(thrown).code}`);
    }
  }

  /** The payee books what it was promised, and says that this is all. */
  #close(move: Channel, payer: Wallet, { hold, leg, to }: { hold: EntryName; leg: number; to: number }): void {
    const { links, plan, wallet: walletOf } = this.#stage;
    const { accounts } = plan;
    if (accounts[to]?.cheats) return;
    links.carry(payer.process, accounts[to]?.home ?? 0, () => {
      const best = walletOf(to)
        ?.vouchers.received()
        .filter((received) => received.hold.id === hold.id && received.leg === leg)
        .toSorted((a, b) => (a.cumulative < b.cumulative ? 1 : -1))[0];
      const claim = {
        hold,
        leg,
        cumulative: best?.cumulative ?? 0n,
        receiptHash: best?.receiptHash ?? new Uint8Array(0),
        voucherSignature: best?.signature ?? new Uint8Array(0),
        last: true,
      };
      this.#try(to, `claims ${claim.cumulative} of ${hold.author}/${hold.sequence}`, move.index, ({ author }) =>
        author.claim(claim),
      );
    });
  }
}

/** What one account was told that it has written: none of it may be lost. */
export class Acknowledged {
  readonly #entries = new Map<AccountId, EntryName[]>();

  add(entry: EntryName): void {
    const own = this.#entries.get(entry.author) ?? [];
    own.push(nameOnly(entry));
    this.#entries.set(entry.author, own);
  }

  all(): Iterable<readonly EntryName[]> {
    return this.#entries.values();
  }

  of(author: AccountId): readonly EntryName[] {
    return this.#entries.get(author) ?? [];
  }

  /** What a restored disk has lost and nobody else has is gone without anybody's fault. */
  forget(author: AccountId, isLost: (entry: EntryName) => boolean): void {
    this.#entries.set(
      author,
      this.of(author).filter((entry) => !isLost(entry)),
    );
  }
}
