/**
 * What this node would lose if money that is not final were taken back (docs/ledger.md, "Money that is not final"): a cap for
 * each payer, and one for all of them. What became final no longer counts; what fell is a loss, and counts for a week more.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import type { AccountId, EntryId, EntryName } from '../entries/entry.ts';
import { listOf, microcreditsOf, nameOf, uintOf, wireNameOf } from '../entries/fields.ts';
import type { LedgerNotes } from '../ports.ts';
import type { LedgerView } from '../views.ts';

export interface ExposureOptions {
  readonly self: AccountId;
  /** `credits.stranger_cap_microcredits`: of one payer. */
  readonly capMicrocredits: bigint;
  /** `credits.require_final`: nothing is booked, or worked for, before it is final. */
  readonly requireFinal: boolean;
}

export interface ExposureDeps {
  readonly ingest: { readonly ledger: Pick<LedgerView, 'status' | 'finalTip'> };
  readonly notes: LedgerNotes;
  readonly clock: Pick<Clock, 'now'>;
}

/** Credits of an entry that is not final, or that has fallen. */
interface Risk {
  /** Its author is the payer. */
  readonly name: EntryName;
  readonly amount: bigint;
  /** When it fell, in milliseconds since 1970; undefined while it may still become final. */
  readonly lostAt: number | undefined;
}

const MAX_AMOUNT = 2n ** 63n - 1n;

export class Exposure {
  readonly #options: ExposureOptions;
  readonly #deps: ExposureDeps;
  readonly #risks = new Map<EntryId, Risk>();
  readonly #byPayer = new Map<AccountId, bigint>();
  #total = 0n;

  private constructor(options: ExposureOptions, deps: ExposureDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** @throws GoGridError `damaged`, `home_unusable` */
  static async load(options: ExposureOptions, deps: ExposureDeps): Promise<Exposure> {
    const exposure = new Exposure(options, deps);
    for await (const [key, value] of deps.notes.list(exposure.#prefix)) exposure.#add(readRisk(key, value));
    return exposure;
  }

  /** Microcredits of this payer that may still be booked, or worked for, before they are final. */
  room(payer: AccountId): bigint {
    const { capMicrocredits, requireFinal } = this.#options;
    if (requireFinal || this.#risks.size >= LEDGER.maxLosses) return 0n;
    const ofPayer = capMicrocredits - (this.#byPayer.get(payer) ?? 0n);
    const ofAll = capMicrocredits * BigInt(LEDGER.capForAll) - this.#total;
    const room = ofPayer < ofAll ? ofPayer : ofAll;
    return room > 0n ? room : 0n;
  }

  /** Microcredits that are at risk, or lost within a week. */
  get total(): bigint {
    return this.#total;
  }

  /** Whether what is booked of this entry is counted here. */
  counts({ id }: EntryName): boolean {
    return this.#risks.has(id);
  }

  /**
   * Counts credits of an entry that is not final, if they fit; on disk when it resolves. What is counted already fits.
   * @param name the payer's entry
   * @throws GoGridError `disk_full`, `home_unusable`
   */
  async take(name: EntryName, amount: bigint): Promise<boolean> {
    if (this.counts(name)) return true;
    if (amount > this.room(name.author)) return false;
    const risk: Risk = { name, amount, lostAt: undefined };
    this.#add(risk);
    try {
      await this.#deps.notes.put([[this.#keyOf(name), encodeRisk(risk)]]);
    } catch (thrown) {
      this.#remove(risk);
      throw thrown;
    }
    return true;
  }

  /** Looks at what has become of what is counted. @throws GoGridError `disk_full`, `home_unusable` */
  async settle(): Promise<void> {
    const { clock, notes } = this.#deps;
    const changes: [string, Uint8Array | undefined][] = [];
    for (const risk of [...this.#risks.values()]) {
      const now = this.#judge(risk, clock.now());
      if (now === risk) continue;
      this.#remove(risk);
      if (now !== undefined) this.#add(now);
      changes.push([this.#keyOf(risk.name), now === undefined ? undefined : encodeRisk(now)]);
    }
    if (changes.length > 0) await notes.put(changes);
  }

  /** The risk as it is now; undefined when there is none any more. */
  #judge(risk: Risk, now: number): Risk | undefined {
    const { ledger } = this.#deps.ingest;
    const { name, lostAt } = risk;
    const status = ledger.status(name);
    // What left memory and is not known to have fallen is final, and was booked.
    const isGone = status === 'unknown' && name.sequence <= (ledger.finalTip(name.author)?.sequence ?? -1);
    if (status === 'final' || isGone) return undefined;
    if (status !== 'fallen') return lostAt === undefined ? risk : { ...risk, lostAt: undefined };
    if (lostAt === undefined) return { ...risk, lostAt: now };
    return now - lostAt > LEDGER.lossCountsSecs * 1000 ? undefined : risk;
  }

  #add(risk: Risk): void {
    const { author, id } = risk.name;
    this.#risks.set(id, risk);
    this.#byPayer.set(author, (this.#byPayer.get(author) ?? 0n) + risk.amount);
    this.#total += risk.amount;
  }

  #remove(risk: Risk): void {
    const { author, id } = risk.name;
    this.#risks.delete(id);
    this.#total -= risk.amount;
    const left = (this.#byPayer.get(author) ?? 0n) - risk.amount;
    if (left > 0n) this.#byPayer.set(author, left);
    else this.#byPayer.delete(author);
  }

  get #prefix(): string {
    return `exposure/${this.#options.self}/`;
  }

  #keyOf({ id }: EntryName): string {
    return `${this.#prefix}${id}`;
  }
}

function encodeRisk({ name, amount, lostAt }: Risk): Uint8Array {
  return encode([wireNameOf(name), amount, lostAt === undefined ? [] : [lostAt]]);
}

function readRisk(key: string, value: Uint8Array): Risk {
  try {
    const [name, amount, lost] = listOf(decode(value, key), 3, key);
    const [lostAt] = Array.isArray(lost) && lost.length > 0 ? listOf(lost, 1, key) : [];
    return {
      name: nameOf(name, key),
      amount: microcreditsOf(amount, 0n, MAX_AMOUNT, key),
      lostAt: lostAt === undefined ? undefined : uintOf(lostAt, Number.MAX_SAFE_INTEGER, key),
    };
  } catch (cause) {
    throw new GoGridError({ code: 'damaged', message: `the note ${key} cannot be read`, cause });
  }
}
