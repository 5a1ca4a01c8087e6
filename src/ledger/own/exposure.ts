/**
 * What this node would lose if money that is not final were taken back (docs/ledger.md, "Money that is not final"): a cap for
 * each payer, and one for all of them. What became final no longer counts; what fell is a loss, and counts for a week more.
 */

import type { Clock } from '../../clock.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { DESCRIPTOR } from '../../limits/mesh.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import type { Status } from '../books/ledger.ts';
import type { AccountId, EntryId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { listOf, microcreditsOf, nameOf, uintOf, wireNameOf } from '../entries/fields.ts';
import { finalAt } from '../intake/final-chain.ts';
import { readNote } from '../notes.ts';
import type { LedgerStore } from '../ports.ts';
import type { LedgerView } from '../views.ts';

export interface ExposureOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  /** `credits.stranger_cap_microcredits`: of one payer. */
  readonly capMicrocredits: bigint;
  /** `credits.require_final`: nothing is booked, or worked for, before it is final. */
  readonly requireFinal: boolean;
}

export interface ExposureDeps {
  readonly ingest: { readonly ledger: Pick<LedgerView, 'status' | 'finalTip'> };
  readonly store: Pick<LedgerStore, 'chain' | 'notes'>;
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

export class Exposure {
  readonly #options: ExposureOptions;
  readonly #deps: ExposureDeps;
  readonly #risks = new Map<EntryId, Risk>();
  readonly #byPayer = new Map<AccountId, bigint>();
  /** Risks of which the disk has said that another entry is final at their place: so it stays. */
  readonly #fallen = new Set<EntryId>();
  #total = 0n;

  private constructor(options: ExposureOptions, deps: ExposureDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** @throws GoGridError `damaged`, `home_unusable` */
  static async load(options: ExposureOptions, deps: ExposureDeps): Promise<Exposure> {
    const exposure = new Exposure(options, deps);
    for await (const [key, value] of deps.store.notes.list(exposure.#prefix)) exposure.#add(readRisk(key, value));
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
      await this.#deps.store.notes.put([[this.#keyOf(name), encodeRisk(risk)]]);
    } catch (thrown) {
      this.#remove(risk);
      throw thrown;
    }
    return true;
  }

  /** Looks at what has become of what is counted. @throws GoGridError `damaged`, `disk_full`, `home_unusable` */
  async settle(): Promise<void> {
    const { clock, store } = this.#deps;
    const changes: [string, Uint8Array | undefined][] = [];
    for (const risk of [...this.#risks.values()]) {
      const now = this.#judge(risk, await this.#statusOf(risk.name), clock.now());
      // It may have been taken back while the disk was read.
      if (now === risk || this.#risks.get(risk.name.id) !== risk) continue;
      this.#remove(risk);
      if (now !== undefined) this.#add(now);
      changes.push([this.#keyOf(risk.name), now === undefined ? undefined : encodeRisk(now)]);
    }
    if (changes.length > 0) await store.notes.put(changes);
  }

  /** The risk as it is now; undefined when there is none any more. */
  #judge(risk: Risk, status: Status, now: number): Risk | undefined {
    const { lostAt } = risk;
    if (status === 'final') return undefined;
    if (status === 'stands' || status === 'certified') {
      return lostAt === undefined ? risk : { ...risk, lostAt: undefined };
    }
    // Of what is not known a loss stays one, and what was none may still become final.
    if (lostAt === undefined) return status === 'fallen' ? { ...risk, lostAt: now } : risk;
    return now - lostAt > LEDGER.lossCountsSecs * 1000 ? undefined : risk;
  }

  /**
   * Of what left memory the disk tells what became of it. It is unknown while the disk has no final entry at its place: one that
   * is damaged there comes again from others.
   */
  async #statusOf(name: EntryName): Promise<Status> {
    const { ingest, store } = this.#deps;
    const status = ingest.ledger.status(name);
    const tip = ingest.ledger.finalTip(name.author);
    if (status !== 'unknown' || tip === undefined || tip.sequence < name.sequence) return status;
    if (this.#fallen.has(name.id)) return 'fallen';
    const stands = await finalAt(store, this.#options.mesh, tip, name.sequence);
    if (stands === undefined) return 'unknown';
    if (stands.id === name.id) return 'final';
    this.#fallen.add(name.id);
    return 'fallen';
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
    this.#fallen.delete(id);
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
  return readNote(key, () => {
    const [name, amount, lost] = listOf(decode(value, key), 3, key);
    const [lostAt] = Array.isArray(lost) && lost.length > 0 ? listOf(lost, 1, key) : [];
    return {
      name: nameOf(name, key),
      amount: microcreditsOf(amount, 0n, DESCRIPTOR.maxGenesisMicrocredits, key),
      lostAt: lostAt === undefined ? undefined : uintOf(lostAt, Number.MAX_SAFE_INTEGER, key),
    };
  });
}
