/**
 * Looks at the ledger whenever something came into it, and tells what of it the owner of this node wants to hear: that the
 * balance changed, that an own entry is final, that what was booked is lost, that somebody forked.
 */

import type { Clock, Timer } from '../../clock.ts';
import { toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Balance } from '../books/balance.ts';
import type { History, HistoryLine } from '../books/history.ts';
import type { Fork, Ledger } from '../books/ledger.ts';
import type { AccountId, EntryId } from '../entries/entry.ts';

export type LedgerEvent =
  | { readonly type: 'credits'; readonly balance: Balance }
  | { readonly type: 'entry-final'; readonly line: HistoryLine }
  | { readonly type: 'entry-lost'; readonly line: HistoryLine }
  | { readonly type: 'fork'; readonly fork: Fork };

export interface WatchDeps {
  readonly self: AccountId;
  readonly ledger: () => Ledger;
  readonly balance: () => Balance;
  readonly history: Pick<History, 'lines'>;
  readonly onTaken: (listener: () => void) => () => void;
  readonly clock: Clock;
  /** Must not throw. */
  readonly tell: (event: LedgerEvent) => void;
  readonly log: Pick<Logger, 'warn'>;
}

/** What was told last. */
interface Told {
  readonly balance: Balance;
  /** Sequences of own final entries are below it. */
  readonly final: number;
  /** What own entries that are not final moved. */
  readonly moved: ReadonlyMap<EntryId, bigint>;
  readonly forks: ReadonlySet<string>;
}

export class LedgerWatch {
  readonly #deps: WatchDeps;
  #told: Told;
  #stopListening: () => void = () => {};
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(deps: WatchDeps) {
    this.#deps = deps;
    this.#told = this.#now();
  }

  start(): void {
    this.#isStopped = false;
    this.#told = this.#now();
    this.#stopListening = this.#deps.onTaken(() => this.look());
  }

  async stop(): Promise<void> {
    this.#stopListening();
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  /** Something may have changed; many changes at once are told together. */
  look(): void {
    this.#lookIn(LEDGER.eventGatherMs);
  }

  #lookIn(ms: number): void {
    if (this.#isStopped) return;
    this.#timer ??= this.#deps.clock.after(ms, () => {
      this.#timer = undefined;
      this.#looking = this.#looking.then(() => this.#compare()).catch((thrown: unknown) => this.#failed(thrown));
    });
  }

  /** Nothing was told yet, and all of it will be. */
  #failed(thrown: unknown): void {
    this.#deps.log.warn({ error: toGoGridError(thrown) }, 'what changed in the ledger could not be read; trying again');
    this.#lookIn(LEDGER.storeRetryMs);
  }

  #now(): Told {
    const { self } = this.#deps;
    const ledger = this.#deps.ledger();
    const moved = new Map<EntryId, bigint>();
    for (const head of ledger.heads(self)) {
      for (let entry = ledger.find(head.id); entry !== undefined; entry = ledger.find(entry.previous)) {
        if (moved.has(entry.id)) break;
        moved.set(entry.id, ledger.moved(entry.id) ?? 0n);
      }
    }
    return {
      balance: this.#deps.balance(),
      final: (ledger.finalTip(self)?.sequence ?? -1) + 1,
      moved,
      forks: new Set(ledger.forks().map(keyOf)),
    };
  }

  async #compare(): Promise<void> {
    const { tell, ledger } = this.#deps;
    const before = this.#told;
    const now = this.#now();
    const forks = ledger().forks();
    // Read before anything is told: what cannot be read is told the next time, and nothing twice.
    const lines = await this.#linesSince(before, now);
    for (const fork of forks) if (!before.forks.has(keyOf(fork))) tell({ type: 'fork', fork });
    if (!isSame(before.balance, now.balance)) tell({ type: 'credits', balance: now.balance });
    for (const event of lines) tell(event);
    this.#told = now;
  }

  /** Own entries that became final, or lost what they moved. */
  async #linesSince(before: Told, now: Told): Promise<LedgerEvent[]> {
    const { history, ledger, self } = this.#deps;
    const hadMoved = (id: EntryId) => (before.moved.get(id) ?? 0n) > 0n;
    const events: LedgerEvent[] = [];
    // A node that comes back after long may have a whole history to tell of: the newest will do.
    const first = Math.max(before.final, now.final - LEDGER.maxPendingListed);
    for (const line of (await history.lines(first, now.final)).reverse()) {
      const isLost = line.amount === 0n && hadMoved(line.name.id);
      events.push({ type: isLost ? 'entry-lost' : 'entry-final', line });
    }
    if (![...now.moved].some(([id, moved]) => moved === 0n && hadMoved(id))) return events;
    const end = (ledger().tip(self)?.sequence ?? -1) + 1;
    for (const line of (await history.lines(now.final, end)).reverse()) {
      const { id } = line.name;
      if (now.moved.get(id) === 0n && hadMoved(id)) events.push({ type: 'entry-lost', line });
    }
    return events;
  }
}

function keyOf({ author, sequence }: Fork): string {
  return `${author}/${sequence}`;
}

function isSame(one: Balance, other: Balance): boolean {
  const kinds = ['available', 'final', 'reserved', 'promised', 'pending'] as const;
  return kinds.every((kind) => one[kind] === other[kind]);
}
