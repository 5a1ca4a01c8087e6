/**
 * Fetching chains of many accounts from one peer. Accounts name each other's entries, so they are gone through in step, a slice
 * of each; one whose entries wait for another account's stands back until they do not. While a page is checked, the next one is
 * on its way.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { AccountId, Entry, EntryId, EntryName } from '../entries/entry.ts';
import { fromHex, wireNameOf } from '../entries/fields.ts';
import type { Unchecked } from '../intake/checked.ts';
import type { Ingest } from '../intake/ingest.ts';
import type { PeerSession } from './session.ts';

/** An account of which the peer has more. */
interface Want {
  readonly author: AccountId;
  /** Sequence of the next entry to ask for. */
  next: number;
  /** How many standing entries the peer says it has. */
  readonly count: number;
  /** It was asked for from its final part on: the peer stands on another branch. */
  isDiverged: boolean;
  /** Grows when it goes back: what was asked for before does not move it. */
  turn: number;
  /** The newest entry that came: while it waits, no more is asked for. */
  last: EntryId | undefined;
  /** Its certificates were asked for, since its author has written more than is taken in at once. */
  isCertified: boolean;
}

/** What one question asks for of one account, and got. */
interface Part {
  readonly want: Want;
  readonly turn: number;
  readonly from: number;
  got: number;
  last: EntryId | undefined;
}

/** A question on its way. */
interface Asked {
  readonly parts: readonly Part[];
  readonly most: number;
  readonly answer: Promise<{ readonly entries: readonly Uint8Array[]; readonly more: boolean }>;
}

export class Pull {
  readonly #peer: PeerSession;
  readonly #ingest: Ingest;
  /** What is left, in the order in which it is asked for. */
  readonly #wants = new Map<AccountId, Want>();

  constructor(peer: PeerSession, ingest: Ingest) {
    this.#peer = peer;
    this.#ingest = ingest;
  }

  add(author: AccountId, from: number, count: number): void {
    const isDiverged = from <= (this.#ingest.ledger.finalTip(author)?.sequence ?? -1) + 1;
    this.#wants.set(author, { author, next: from, count, isDiverged, turn: 0, last: undefined, isCertified: false });
  }

  /** @throws GoGridError, EndOfTurn as `PeerSession` does */
  async run(): Promise<void> {
    let asked = this.#ask();
    while (this.#wants.size > 0) {
      if (asked === undefined) {
        if (!(await this.#unblock())) return;
        asked = this.#ask();
        continue;
      }
      const { parts } = asked;
      const read = this.#read(asked, await asked.answer);
      // On its way while this page is checked.
      asked = this.#ask();
      asked?.answer.catch(() => {});
      // Each page moves what is asked for next, as far as the peer has said that its chain goes.
      const leadsOn = parts.some(({ got }) => got > 0);
      const { limited } = await this.#peer.take({ entries: read }, leadsOn);
      for (const author of limited)
        await this.#onLimited(
          author,
          parts.map(({ want }) => want),
        );
      for (const { want } of parts) this.#checkBranch(want);
      asked ??= this.#ask();
    }
    await asked?.answer;
  }

  /** Asks for the next page; undefined when everything that is left waits for something else. */
  #ask(): Asked | undefined {
    const { waiting } = this.#ingest;
    const ready = [...this.#wants.values()].filter((want) => !this.#isBlocked(want));
    if (ready.length === 0) return undefined;
    const isTight = waiting.size > LEDGER.maxWaiting / 2;
    const slice = isTight ? LEDGER.smallChainSlice : LEDGER.chainSlice;
    const most = ready.length <= FEW && !isTight ? Number.POSITIVE_INFINITY : slice;
    const parts: Part[] = [];
    let expected = 0;
    for (const want of ready) {
      if (parts.length >= LEDGER.maxAsked || expected >= PAGE_ENTRIES) break;
      parts.push({ want, turn: want.turn, from: want.next, got: 0, last: undefined });
      expected += Math.min(want.count - want.next, most);
      // Those that are asked for now come last the next time.
      this.#wants.delete(want.author);
      this.#wants.set(want.author, want);
    }
    const question = {
      type: 'chains',
      from: parts.map(({ want, from }): [Uint8Array, number] => [fromHex(want.author), from]),
      ...(most !== Number.POSITIVE_INFINITY && { most }),
    } as const;
    return { parts, most, answer: this.#peer.ask(question) };
  }

  /** Reads a page, not yet checked, and moves what is asked for next behind it. */
  #read({ parts, most }: Asked, { entries, more }: Awaited<Asked['answer']>): Unchecked<Entry>[] {
    if (more && entries.length === 0) this.#peer.fail('an answer that says there is more, and has nothing');
    let at = 0;
    const read = entries.map((sealed) => {
      const unchecked = this.#ingest.read(sealed);
      const entry = unchecked.value;
      if (entry === undefined) return unchecked;
      while (at < parts.length && parts[at]?.want.author !== entry.author) at++;
      const part = parts[at];
      if (part === undefined || entry.sequence !== part.from + part.got) {
        return this.#peer.fail('entries that were not asked for');
      }
      part.got++;
      part.last = entry.id;
      return unchecked;
    });
    for (const [index, { want, turn, from, got, last }] of parts.entries()) {
      if (want.turn !== turn) continue;
      want.next = from + got;
      want.last = last ?? want.last;
      const wasServed = !more || index < at;
      if (want.next >= want.count || (wasServed && got < most)) this.#wants.delete(want.author);
    }
    return read;
  }

  /** More than an author may write at once is taken in only when witnesses have certified it. */
  async #onLimited(author: AccountId, wanted: readonly Want[]): Promise<void> {
    const want = wanted.find((known) => known.author === author);
    if (want === undefined) return;
    if (want.isCertified) {
      this.#wants.delete(author);
      return;
    }
    want.isCertified = true;
    const from = (this.#ingest.ledger.finalTip(author)?.sequence ?? -1) + 1;
    const answer = await this.#peer.ask({ type: 'certificates', from: [[fromHex(author), from]] });
    await this.#peer.take({ attestations: answer.attestations });
    this.#goBack(want, (this.#ingest.ledger.tip(author)?.sequence ?? -1) + 1);
  }

  #goBack(want: Want, next: number): void {
    want.next = next;
    want.turn++;
    want.last = undefined;
    this.#wants.set(want.author, want);
  }

  /** An entry that waits for one before it at a place that is filled here: the branches part further down. */
  #checkBranch(want: Want): void {
    const { ledger, waiting } = this.#ingest;
    if (want.isDiverged || !this.#isBlocked(want)) return;
    const tip = ledger.tip(want.author)?.sequence ?? -1;
    const parts = waiting.missingOf(want.author).some((name) => name.author === want.author && name.sequence <= tip);
    if (!parts) return;
    want.isDiverged = true;
    this.#goBack(want, (ledger.finalTip(want.author)?.sequence ?? -1) + 1);
  }

  #isBlocked({ last }: Want): boolean {
    return last !== undefined && this.#ingest.waiting.has(last);
  }

  /** Fetches by name what all that is left waits for. @returns whether that helped */
  async #unblock(): Promise<boolean> {
    const { waiting } = this.#ingest;
    const names = new Map<string, EntryName>();
    for (const { author } of this.#wants.values()) {
      for (const name of waiting.missingOf(author)) if (names.size < LEDGER.maxAsked) names.set(name.id, name);
    }
    if (names.size === 0) return false;
    const { entries } = await this.#peer.ask({
      type: 'entries',
      names: [...names.values()].map((name) => [...wireNameOf(name)]),
    });
    const outcome = entries.length > 0 ? await this.#peer.take({ entries }) : undefined;
    if (outcome !== undefined && outcome.taken + outcome.waiting > 0) return true;
    return (await askCoverOf([...names.values()], this.#peer)) > 0;
  }
}

/**
 * What is named and does not come may be worth nothing: then a certificate covers its place, and nothing has to wait for it.
 * @returns how many attestations were new
 */
export async function askCoverOf(names: readonly EntryName[], peer: PeerSession): Promise<number> {
  const places = new Map<AccountId, number>();
  for (const { author, sequence } of names) {
    places.set(author, Math.min(sequence, places.get(author) ?? Number.POSITIVE_INFINITY));
  }
  const from = [...places].map(([author, sequence]): [Uint8Array, number] => [fromHex(author), sequence]);
  const { attestations } = await peer.ask({ type: 'certificates', from });
  return attestations.length === 0 ? 0 : (await peer.take({ attestations })).taken;
}

/** So few accounts are asked for to the end, each. */
const FEW = 4;
/** More entries than fit an answer: a transfer has some 270 bytes. */
const PAGE_ENTRIES = 900;
