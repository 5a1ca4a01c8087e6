/**
 * Transfers that a client may ask for twice: its request's id is noted with the name of the entry before the entry is
 * written, so that whoever asks again after a crash gets that entry, or has it written if it never was.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import { sha256Hex } from '../../protocol/hash.ts';
import type { AccountId, Entry, EntryName } from '../entries/entry.ts';
import { fromHex, listOf, nameOf, uintOf, violation } from '../entries/fields.ts';
import { readNote } from '../notes.ts';
import type { LedgerNotes } from '../ports.ts';
import { nameOnly } from '../views.ts';

export interface Order {
  readonly to: AccountId;
  /** Microcredits, from 1. */
  readonly amount: bigint;
  readonly memo: string;
}

export interface RequestsDeps {
  readonly notes: LedgerNotes;
  readonly clock: Pick<Clock, 'now'>;
  /** Writes the entry; `beforeWrite` runs when its name is known and before it is on the disk. */
  readonly transfer: (order: Order, beforeWrite?: (name: EntryName) => Promise<void>) => Promise<Entry>;
  /** Resolves when it is known of every entry whether it was written: a write that failed may have been one all the same. */
  readonly settled: () => Promise<void>;
  /** Whether such an entry was written. */
  readonly isThere: (name: EntryName) => Promise<boolean>;
}

export interface Made {
  readonly name: EntryName;
  /** It was made when this was asked for before. */
  readonly repeated: boolean;
}

interface Request {
  readonly name: EntryName;
  /** Of the order: one id is for one order. */
  readonly order: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

const PREFIX = 'request/';

export class TransferRequests {
  readonly #deps: RequestsDeps;
  /** In the order in which they were made. */
  readonly #known: Map<string, Request>;
  readonly #running = new Map<string, Promise<unknown>>();

  private constructor(known: Map<string, Request>, deps: RequestsDeps) {
    this.#known = known;
    this.#deps = deps;
  }

  static async load(deps: RequestsDeps): Promise<TransferRequests> {
    const found: [string, Request][] = [];
    for await (const [key, value] of deps.notes.list(PREFIX))
      found.push([key.slice(PREFIX.length), readRequest(key, value)]);
    return new TransferRequests(new Map(found.sort(([, a], [, b]) => a.at - b.at)), deps);
  }

  /** @throws GoGridError `invalid_request` when this id was sent with another order, and what the transfer throws */
  async make(order: Order, requestId: string | undefined): Promise<Made> {
    if (requestId === undefined) return { name: nameOnly(await this.#deps.transfer(order)), repeated: false };
    // Two at once with one id: the second sees what came of the first.
    const before = this.#running.get(requestId);
    const made = (before ?? Promise.resolve()).catch(() => undefined).then(() => this.#once(order, requestId));
    this.#running.set(requestId, made);
    try {
      return await made;
    } finally {
      if (this.#running.get(requestId) === made) this.#running.delete(requestId);
    }
  }

  async #once(order: Order, requestId: string): Promise<Made> {
    const { transfer, settled, isThere } = this.#deps;
    const known = this.#known.get(requestId);
    if (known !== undefined) {
      if (known.order !== hashOf(order)) throw anotherOrder(requestId);
      await settled();
      if (await isThere(known.name)) return { name: known.name, repeated: true };
    }
    const entry = await transfer(order, (name) => this.#note(requestId, order, name));
    return { name: nameOnly(entry), repeated: false };
  }

  async #note(requestId: string, order: Order, name: EntryName): Promise<void> {
    const { notes, clock } = this.#deps;
    const request = { name: nameOnly(name), order: hashOf(order), at: clock.now() };
    const old = this.#old(request.at);
    await notes.put([
      [PREFIX + requestId, writeRequest(request)],
      ...old.map((id) => [PREFIX + id, undefined] as const),
    ]);
    for (const id of old) this.#known.delete(id);
    this.#known.delete(requestId);
    this.#known.set(requestId, request);
  }

  /** Those that nobody will send again, or that are too many. */
  #old(now: number): string[] {
    const most = this.#known.size - LEDGER.maxRequests + 1;
    const old: string[] = [];
    for (const [id, { at }] of this.#known) {
      if (old.length >= most && now - at <= LEDGER.requestKeptSecs * 1000) break;
      if (!this.#running.has(id)) old.push(id);
    }
    return old;
  }
}

function hashOf({ to, amount, memo }: Order): string {
  return sha256Hex(encode([to, amount, memo]));
}

function writeRequest({ name, order, at }: Request): Uint8Array {
  return encode([fromHex(name.author), name.sequence, fromHex(name.id), order, at]);
}

/** @throws GoGridError `damaged` */
function readRequest(key: string, bytes: Uint8Array): Request {
  return readNote(key, () => {
    const [author, sequence, id, order, at] = listOf(decode(bytes, key), 5, key);
    if (typeof order !== 'string') throw violation('no order');
    return { name: nameOf([author, sequence, id], key), order, at: uintOf(at, Number.MAX_SAFE_INTEGER, key) };
  });
}

function anotherOrder(requestId: string): GoGridError {
  return new GoGridError({
    code: 'invalid_request',
    message: `requestId: '${requestId}' was sent with another transfer`,
    hint: 'give every transfer an id of its own; send the same one only to try the same transfer again',
    data: { field: 'requestId' },
  });
}
