/**
 * What happened to one account, newest first: its own entries, by which alone credits leave it and enter it, and what others
 * have sent it that it has not booked.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { AccountId, Entry, EntryId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import type { MovedNotes } from '../own/moved-notes.ts';
import type { LedgerReads } from '../ports.ts';
import type { Ledger } from './ledger.ts';

/** What has become of an entry; `void` and `cut` moved nothing. */
export type LineState = 'void' | 'stands' | 'certified' | 'final' | 'cut';

export interface HistoryLine {
  readonly name: EntryName;
  /** Milliseconds since 1970, as its author says. */
  readonly at: number;
  readonly kind: Entry['body']['kind'];
  /** Of a hold, which has a line for each leg. */
  readonly leg: number | undefined;
  /** What it books or takes back: a transfer, or a hold. */
  readonly of: EntryName | undefined;
  readonly party: AccountId;
  /** Microcredits; below 0 where they leave the account. */
  readonly amount: bigint;
  readonly memo: string;
  readonly state: LineState;
  /** Its credits are on their way: the one they go to has not booked them. */
  readonly open: boolean;
}

export interface HistoryPage {
  readonly lines: readonly HistoryLine[];
  /** `before` of the next page. */
  readonly next: number | undefined;
}

export interface EntryWithState {
  readonly entry: Entry;
  readonly state: LineState;
}

export interface HistoryDeps {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  readonly ledger: () => Ledger;
  readonly store: Pick<LedgerReads, 'chain' | 'entry'>;
  readonly moved: Pick<MovedNotes, 'of'>;
}

export class History {
  readonly #deps: HistoryDeps;

  constructor(deps: HistoryDeps) {
    this.#deps = deps;
  }

  /** @param before a sequence: entries in front of it; what waits to be booked stands on the first page alone */
  async page(before: number | undefined, limit: number): Promise<HistoryPage> {
    const lines: HistoryLine[] = [];
    let next = Math.min(before ?? Number.MAX_SAFE_INTEGER, this.#end());
    while (next > 0 && lines.length < limit) {
      const from = Math.max(0, next - Math.min(limit, LEDGER.readPage));
      lines.push(...(await this.lines(from, next)));
      next = from;
    }
    const pending = before === undefined ? await this.#pending() : [];
    return { lines: merged(pending, lines), next: next > 0 ? next : undefined };
  }

  /** One entry of this account. */
  async line(name: EntryName): Promise<HistoryLine | undefined> {
    const lines = await this.lines(name.sequence, name.sequence + 1);
    return lines.find((line) => line.name.id === name.id);
  }

  /** Own entries from one sequence to before another, newest first. */
  async lines(from: number, before: number): Promise<HistoryLine[]> {
    const entries = await this.#entries(from, before + 1);
    const shown = entries.filter(({ sequence }) => sequence < before);
    const standing = this.#standing(entries);
    const lines: HistoryLine[] = [];
    for (const entry of shown.reverse()) lines.push(...(await this.#linesOf(entry, standing.has(entry.id))));
    return lines;
  }

  /** Entries from a sequence on, oldest first, with what became of each. @param limit of places */
  async withStates(from: number, limit: number): Promise<{ entries: EntryWithState[]; next: number | undefined }> {
    const before = Math.min(from + limit, this.#end());
    const read = await this.#entries(from, before + 1);
    const standing = this.#standing(read);
    const entries: EntryWithState[] = [];
    for (const entry of read) {
      if (entry.sequence >= before) break;
      const stands = standing.has(entry.id);
      const state = await this.#stateOf(entry, stands, stands ? await this.#movedBy(entry) : 0n);
      entries.push({ entry, state });
    }
    return { entries, next: before < this.#end() ? before : undefined };
  }

  /** Behind the newest own entry, standing or not. */
  #end(): number {
    const { ledger, self } = this.#deps;
    const heads = [ledger().tip(self), ...ledger().heads(self)].map((name) => (name?.sequence ?? -1) + 1);
    return Math.max(0, ...heads);
  }

  async #entries(from: number, before: number): Promise<Entry[]> {
    const { store, self, mesh } = this.#deps;
    const entries: Entry[] = [];
    for await (const { sealed, sequence } of store.chain(self, from)) {
      if (sequence >= before) break;
      if (sealed.length > 0) entries.push(openEntry(sealed, mesh, { trusted: true }));
    }
    return entries;
  }

  /** Ids of those that stand. Of several at one final place it is the one that the next names. */
  #standing(entries: readonly Entry[]): Set<EntryId> {
    const { self } = this.#deps;
    const ledger = this.#deps.ledger();
    const tip = ledger.tip(self);
    const standing = new Set<EntryId>();
    let expected: EntryId | undefined;
    for (const [at, entry] of [...entries.entries()].reverse()) {
      const { id, sequence } = entry;
      if (tip === undefined || sequence > tip.sequence) continue;
      const alone = entries[at - 1]?.sequence !== sequence && entries[at + 1]?.sequence !== sequence;
      const stands = sequence === tip.sequence ? id === tip.id : (expected === undefined && alone) || id === expected;
      if (!stands) continue;
      standing.add(id);
      expected = entry.previous;
    }
    return standing;
  }

  async #linesOf(entry: Entry, stands: boolean): Promise<HistoryLine[]> {
    const { author, sequence, id, timestamp: at, body } = entry;
    const name = { author, sequence, id };
    const moved = stands ? await this.#movedBy(entry) : 0n;
    const base = { name, at, kind: body.kind, leg: undefined, of: undefined, memo: '', open: false };
    const state = await this.#stateOf(entry, stands, moved);
    switch (body.kind) {
      case 'transfer': {
        const open = moved !== 0n && this.#deps.ledger().books().transfer(name) !== undefined;
        return [{ ...base, party: body.to, amount: moved === 0n ? 0n : -body.amount, memo: body.memo, state, open }];
      }
      case 'accept': {
        const memo = (await this.#named(body.transfer))?.body;
        const text = memo?.kind === 'transfer' ? memo.memo : '';
        return [{ ...base, of: body.transfer, party: body.transfer.author, amount: moved, memo: text, state }];
      }
      case 'hold':
        return body.legs.map(({ payee, max }, leg) => {
          const open = moved !== 0n && this.#deps.ledger().books().leg(name, leg) !== undefined;
          return { ...base, leg, party: payee, amount: moved === 0n ? 0n : -max, state, open };
        });
      case 'claim':
        return [{ ...base, leg: body.leg, of: body.hold, party: body.hold.author, amount: moved, state }];
      case 'release': {
        const hold = (await this.#named(body.hold))?.body;
        const payee = hold?.kind === 'hold' ? hold.legs[body.leg]?.payee : undefined;
        return [{ ...base, leg: body.leg, of: body.hold, party: payee ?? author, amount: moved, state }];
      }
    }
  }

  async #stateOf(entry: Entry, stands: boolean, moved: bigint): Promise<LineState> {
    const ledger = this.#deps.ledger();
    if (!stands) return 'cut';
    const { body } = entry;
    const spends = body.kind === 'transfer' || body.kind === 'hold';
    if (moved === 0n && spends) return 'void';
    if (moved === 0n && body.kind === 'accept') return (await this.#fell(body.transfer)) ? 'cut' : 'void';
    if (moved === 0n && body.kind === 'claim' && body.cumulative > 0n && (await this.#fell(body.hold))) return 'cut';
    const end = ledger.finalTip(entry.author);
    if (end !== undefined && entry.sequence <= end.sequence) return 'final';
    const status = ledger.status(entry);
    return status === 'fallen' || status === 'unknown' ? 'stands' : status;
  }

  /** Whether another entry counts at this place, or none. */
  async #fell(name: EntryName): Promise<boolean> {
    const ledger = this.#deps.ledger();
    const status = ledger.status(name);
    if (status !== 'unknown') return status === 'fallen';
    const end = ledger.finalTip(name.author);
    if (end === undefined || end.sequence < name.sequence) return true;
    // Of what left memory the disk tells: it stands if the final chain goes through it.
    const behind = new Set([name.id]);
    for await (const { sealed, sequence, id } of this.#deps.store.chain(name.author, name.sequence)) {
      if (sequence > end.sequence) break;
      if (sequence === name.sequence || sealed.length === 0) continue;
      if (behind.has(openEntry(sealed, this.#deps.mesh, { trusted: true }).previous)) behind.add(id);
    }
    return !behind.has(end.id);
  }

  async #named(name: EntryName): Promise<Entry | undefined> {
    const { store, mesh, ledger } = this.#deps;
    const inMemory = ledger().find(name.id);
    if (inMemory !== undefined) return inMemory;
    const sealed = await store.entry(name);
    return sealed === undefined || sealed.length === 0 ? undefined : openEntry(sealed, mesh, { trusted: true });
  }

  /** By how much an own entry that stands changed what is available. */
  async #movedBy(entry: Entry): Promise<bigint> {
    const { ledger, moved } = this.#deps;
    return ledger().moved(entry.id) ?? (await moved.of(entry.sequence)) ?? (await this.#meant(entry));
  }

  /** What an entry moves when all it names is as it should be: an honest author writes none that does not. */
  async #meant({ sequence, body }: Entry): Promise<bigint> {
    switch (body.kind) {
      case 'transfer':
        return -body.amount;
      case 'hold':
        return -body.legs.reduce((sum, { max }) => sum + max, 0n);
      case 'accept': {
        const transfer = (await this.#named(body.transfer))?.body;
        return transfer?.kind === 'transfer' ? transfer.amount : 0n;
      }
      case 'claim':
        return body.cumulative - (await this.#claimedBefore(sequence, body.hold, body.leg));
      case 'release': {
        const hold = (await this.#named(body.hold))?.body;
        const max = hold?.kind === 'hold' ? (hold.legs[body.leg]?.max ?? 0n) : 0n;
        if ('alone' in body.rest) return max - body.rest.alone;
        const claim = (await this.#named(body.rest.claim))?.body;
        return claim?.kind === 'claim' ? max - claim.cumulative : 0n;
      }
    }
  }

  async #claimedBefore(sequence: number, hold: EntryName, leg: number): Promise<bigint> {
    const most = Math.max(0, sequence - LEDGER.maxSummed);
    for (let before = sequence; before > most; before -= LEDGER.readPage) {
      const entries = await this.#entries(Math.max(0, before - LEDGER.readPage), before);
      for (const { body } of entries.reverse()) {
        if (body.kind === 'claim' && body.hold.id === hold.id && body.leg === leg) return body.cumulative;
      }
    }
    return 0n;
  }

  /** Transfers to this account that are on their way. */
  async #pending(): Promise<HistoryLine[]> {
    const ledger = this.#deps.ledger();
    const open = ledger.openTransfersTo(this.#deps.self).slice(-LEDGER.maxPendingListed);
    const lines = open.map(async ({ name, amount }): Promise<HistoryLine> => {
      const entry = await this.#named(name);
      const end = ledger.finalTip(name.author);
      const isFinal = end !== undefined && name.sequence <= end.sequence;
      const status = isFinal ? 'final' : ledger.status(name);
      const memo = entry?.body.kind === 'transfer' ? entry.body.memo : '';
      const state = status === 'final' || status === 'certified' ? status : 'stands';
      const at = entry?.timestamp ?? 0;
      const base = { name, at, kind: 'transfer', leg: undefined, of: undefined } as const;
      return { ...base, party: name.author, amount, memo, state, open: true };
    });
    return Promise.all(lines);
  }
}

/** By the time that their authors say; own entries stay in their order. */
function merged(pending: readonly HistoryLine[], own: readonly HistoryLine[]): HistoryLine[] {
  const waiting = pending.toSorted((a, b) => b.at - a.at);
  const lines: HistoryLine[] = [];
  for (const line of own) {
    while (waiting[0] !== undefined && waiting[0].at >= line.at) lines.push(...waiting.splice(0, 1));
    lines.push(line);
  }
  return [...lines, ...waiting];
}
