/**
 * Virtual Token Counter: fair share among accounts by the service that each has had, whatever number of jobs it sends.
 * Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024, arXiv 2401.00588), Algorithm 2. Pure.
 *
 * The job of the account with the smallest counter is next. Input is charged when a job starts, output while it is written.
 * An account whose first job begins to wait is lifted to the smallest counter of those that wait already, or, where nobody
 * waits, to that of the account whose job left last: nobody saves up service by staying away.
 */

/** `wp` of the paper: what one token of input counts. */
export const INPUT_WEIGHT = 1;
/** `wq` of the paper: what one token of output counts; it holds the engine longer than one of input. */
export const OUTPUT_WEIGHT = 2;

interface Account {
  counter: number;
  waiting: number;
  running: number;
}

export class TokenCounters {
  readonly #maxAccounts: number;
  readonly #accounts = new Map<string, Account>();
  readonly #backlogged = new Set<Account>();
  #lastLeft: Account | undefined;
  /** The largest counter that was ever forgotten: unknown accounts start no lower, since they may be returning ones. */
  #forgotten = 0;

  /** @param maxAccounts remembered at most, besides those that have a job here */
  constructor(maxAccounts: number) {
    this.#maxAccounts = maxAccounts;
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** The counter of an account, as it would be if a job of it began to wait now. */
  of(account: string): number {
    const known = this.#accounts.get(account);
    if (known !== undefined && known.waiting > 0) return known.counter;
    return Math.max(known?.counter ?? this.#forgotten, this.#level());
  }

  /** What an account has been charged, and was lifted to when its jobs last began to wait. */
  servedTo(account: string): number {
    return this.#accounts.get(account)?.counter ?? this.#forgotten;
  }

  /** A job of the account begins to wait. */
  arrives(account: string): void {
    const counter = this.of(account);
    const known = this.#known(account);
    known.counter = counter;
    known.waiting++;
    this.#backlogged.add(known);
  }

  /** A waiting job of the account starts, or gives up. */
  leaves(account: string, how: 'starts' | 'gives-up'): void {
    const known = this.#known(account);
    if (--known.waiting === 0) this.#backlogged.delete(known);
    this.#lastLeft = known;
    if (how === 'starts') known.running++;
  }

  /** A started job of the account has ended. */
  ends(account: string): void {
    this.#known(account).running--;
  }

  /** Tokens are put to the account of a job that runs; negative ones take back what was charged on an estimate. */
  charge(account: string, inputTokens: number, outputTokens: number): void {
    this.#known(account).counter += INPUT_WEIGHT * inputTokens + OUTPUT_WEIGHT * outputTokens;
  }

  /** Where service stands: below it nobody begins to wait. */
  #level(): number {
    if (this.#backlogged.size === 0) return this.#lastLeft?.counter ?? 0;
    let least = Number.POSITIVE_INFINITY;
    for (const { counter } of this.#backlogged) least = Math.min(least, counter);
    return least;
  }

  #known(account: string): Account {
    let known = this.#accounts.get(account);
    if (known === undefined) {
      if (this.#accounts.size >= this.#maxAccounts) this.#forgetOne();
      known = { counter: this.#forgotten, waiting: 0, running: 0 };
      this.#accounts.set(account, known);
    }
    return known;
  }

  /**
   * Forgets the account with the smallest counter that has no job here. It loses nothing that the lift would not take, and
   * gains nothing, since whoever is unknown starts at the largest counter that was forgotten. That floor is one that an
   * account had lately, so a newcomer waits for no more service than behind any other account.
   */
  #forgetOne(): void {
    let least: [string, Account] | undefined;
    for (const entry of this.#accounts) {
      const { counter, waiting, running } = entry[1];
      if (waiting + running === 0 && (least === undefined || counter < least[1].counter)) least = entry;
    }
    if (least === undefined) return;
    this.#accounts.delete(least[0]);
    this.#forgotten = Math.max(this.#forgotten, least[1].counter);
  }
}
