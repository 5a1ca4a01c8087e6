/**
 * Books by itself what is this account's: transfers to it, as soon as they are final or fit the caps; the rests of its holds
 * whose legs their payees have closed; and vouchers that wait too long, since a payer may take back what nobody claims.
 */

import type { Clock, Timer } from '../../clock.ts';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { OpenLeg, OpenTransfer } from '../books/state.ts';
import type { AccountId } from '../entries/entry.ts';
import { Buckets } from '../intake/buckets.ts';
import type { LedgerFlow } from '../views.ts';
import type { Author } from './author.ts';
import type { Exposure } from './exposure.ts';
import { isDoubtful } from './open-past.ts';
import type { Received, Vouchers } from './vouchers.ts';

export interface BookingOptions {
  readonly self: AccountId;
  /** `credits.lone_release_secs`. */
  readonly loneReleaseMs: number;
}

export interface BookingDeps {
  readonly author: Pick<Author, 'state' | 'isFirm' | 'onState' | 'accept' | 'claim' | 'release'>;
  readonly ingest: LedgerFlow;
  readonly exposure: Pick<Exposure, 'take' | 'counts' | 'room' | 'settle'>;
  readonly vouchers: Pick<Vouchers, 'received' | 'sweep'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Booking {
  readonly #options: BookingOptions;
  readonly #deps: BookingDeps;
  readonly #rate: Buckets<'own'>;
  #timer: Timer | undefined;
  /** `Clock.elapsed()` of the timer. */
  #timerAt = 0;
  #round: Promise<void> | undefined;
  #isClosed = false;
  #stops: (() => void)[] = [];

  constructor(options: BookingOptions, deps: BookingDeps) {
    this.#options = options;
    this.#deps = deps;
    const rate = { perSecond: LEDGER.maxBookedPerSecond, atOnce: LEDGER.maxBookedAtOnce, maxKeys: 1 };
    this.#rate = new Buckets(rate, deps.clock);
  }

  start(): void {
    const { ingest, author } = this.#deps;
    this.#stops = [
      ingest.onTaken(() => this.#soon(LEDGER.bookGatherMs)),
      author.onState(() => this.#soon(LEDGER.bookGatherMs)),
    ];
    this.#soon(LEDGER.bookGatherMs);
  }

  async stop(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    for (const stop of this.#stops) stop();
    await this.#round;
  }

  #soon(ms: number): void {
    if (this.#isClosed) return;
    const { clock } = this.#deps;
    const at = clock.elapsed() + ms;
    if (this.#timer !== undefined) {
      if (at >= this.#timerAt) return;
      this.#timer.cancel();
    }
    this.#timerAt = at;
    this.#timer = clock.after(ms, () => {
      this.#timer = undefined;
      this.#look();
    });
  }

  #look(): void {
    if (this.#round !== undefined) {
      this.#soon(LEDGER.bookGatherMs);
      return;
    }
    this.#round = this.#bookAll()
      .catch((thrown: unknown) => this.#deps.log.warn({ error: toGoGridError(thrown) }, 'not all could be booked'))
      .finally(() => {
        this.#round = undefined;
        this.#soon(LEDGER.bookEveryMs);
      });
  }

  /** One look, from the largest amount to the smallest: dust must not hold up what is worth something. */
  async #bookAll(): Promise<void> {
    const { exposure, author, ingest } = this.#deps;
    const { self } = this.#options;
    await exposure.settle();
    await this.#sweep();
    if (author.state().state !== 'ready') return;
    if (!author.isFirm()) return this.#soon(LEDGER.askHeadMs);
    const transfers = ingest.ledger.openTransfersTo(self).toSorted((a, b) => compare(b.amount, a.amount));
    const doubtful = new Map<AccountId, number>();
    for (const transfer of transfers) {
      if (!(await this.#isSafe(transfer, doubtful))) continue;
      if (!(await this.#write(() => author.accept(transfer.name)))) return;
    }
    for (const { hold, leg, closedBy } of this.#finallyClosed()) {
      if (closedBy !== undefined && !(await this.#write(() => author.release(hold, leg, closedBy)))) return;
    }
    for (const { since: _, signature: voucherSignature, ...voucher } of this.#overdue()) {
      if (!(await this.#write(() => author.claim({ ...voucher, voucherSignature, last: false })))) return;
    }
  }

  /**
   * A transfer that cannot be taken back, or whose loss the caps cover and that can become final.
   * @param doubtful of payers, from which place of their logs on nothing is booked before it is final
   */
  async #isSafe({ name, amount }: OpenTransfer, doubtful: Map<AccountId, number>): Promise<boolean> {
    const { ingest, exposure } = this.#deps;
    const { author, sequence } = name;
    if (ingest.ledger.status(name) === 'final') return true;
    const fits = exposure.counts(name) || amount <= exposure.room(author);
    if (!fits || sequence >= (doubtful.get(author) ?? Number.POSITIVE_INFINITY)) return false;
    if (!isDoubtful(name, ingest.ledger)) return exposure.take(name, amount);
    doubtful.set(author, sequence);
    return false;
  }

  /** @returns whether to go on */
  async #write(entry: () => Promise<unknown>): Promise<boolean> {
    if (this.#isClosed) return false;
    if (!this.#rate.take('own')) {
      this.#soon(LEDGER.bookGatherMs);
      return false;
    }
    try {
      await entry();
      return true;
    } catch (thrown) {
      // The ledger has gone on since it was looked at: what is no longer open is not worth an entry.
      if (thrown instanceof GoGridError && thrown.code === 'invalid_request') return true;
      throw thrown;
    }
  }

  /**
   * Own legs closed by a claim that is final. One that is not may fall, and the credits that came back with it: then own
   * entries that spent them would be void.
   */
  #finallyClosed(): OpenLeg[] {
    const { ledger } = this.#deps.ingest;
    const books = ledger.finalBooks();
    return ledger.openLegsOf(this.#options.self).filter(({ hold, leg, closedBy, givenBack }) => {
      return closedBy !== undefined && givenBack === 0n && books.leg(hold, leg)?.closedBy?.id === closedBy.id;
    });
  }

  /**
   * Vouchers of which something is not booked since a seventh of the time after which a payer may take the rest back alone: a
   * payee that is away for the rest of it loses nothing.
   */
  #overdue(): Received[] {
    const { vouchers, ingest, clock } = this.#deps;
    const books = ingest.ledger.books();
    const before = clock.now() - this.#options.loneReleaseMs / LEDGER.loneReleasePart;
    return vouchers.received().filter(({ hold, leg, cumulative, since }) => {
      const open = books.leg(hold, leg);
      const isOpen = open !== undefined && open.closedBy === undefined && cumulative > open.paid;
      return since <= before && isOpen && !isDoubtful(hold, ingest.ledger);
    });
  }

  async #sweep(): Promise<void> {
    const { ledger } = this.#deps.ingest;
    const books = ledger.finalBooks();
    await this.#deps.vouchers.sweep((hold, leg) => {
      return hold.sequence <= (ledger.finalTip(hold.author)?.sequence ?? -1) && books.leg(hold, leg) === undefined;
    });
  }
}

function compare(a: bigint, b: bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
