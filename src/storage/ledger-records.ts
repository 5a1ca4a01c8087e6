/**
 * How the ledger lies in the database. Keys are bytes, so that their order is that of authors and sequences:
 *
 * `ledger/` ‖ networkId (8 of its bytes) ‖ one letter, and then
 * - `e` ‖ author (32) ‖ sequence (8) ‖ id (32): an entry;
 * - `a` ‖ author (32) ‖ sequence (8) ‖ witness (32) ‖ id (32) ‖ late (1): an attestation;
 * - `n` ‖ text: a note;
 * - `s`: the snapshot.
 *
 * A value is CRC-32 (4) of key and bytes, then the bytes: LevelDB does not check what it reads, and neither a signature that
 * is damaged nor an entry that has come under the key of another may pass for one that was written.
 */

import { crc32 } from 'node:zlib';
import type { AccountId, EntryName } from '../ledger/entries/entry.ts';
import type { AttestationName } from '../ledger/ports.ts';

const ROOT = Buffer.from('ledger/');
/** A home may change its mesh, but not to one whose id begins alike. */
const NETWORK_BYTES = 8;
const ACCOUNT_BYTES = 32;
const SEQUENCE_BYTES = 8;
const CHECK_BYTES = 4;
/** Behind every sequence, they have 53 bits, and every character of UTF-8. */
const END = Buffer.of(0xff);

export interface KeyRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
}

export class LedgerRecords {
  readonly #prefix: Buffer;
  /** Of the keys of entries and attestations: where the author begins. */
  readonly #authorAt: number;
  readonly snapshotKey: Uint8Array;

  /** @param networkId 32 bytes */
  constructor(networkId: Uint8Array) {
    this.#prefix = Buffer.concat([ROOT, networkId.subarray(0, NETWORK_BYTES)]);
    this.#authorAt = this.#prefix.length + 1;
    this.snapshotKey = this.#key('s');
  }

  entryKey({ author, sequence, id }: EntryName): Uint8Array {
    return this.#key('e', hex(author), sequenceBytes(sequence), hex(id));
  }

  attestationKey({ author, sequence, witness, id, late }: AttestationName): Uint8Array {
    return this.#key('a', hex(author), sequenceBytes(sequence), hex(witness), hex(id), Buffer.of(late ? 1 : 0));
  }

  noteKey(key: string): Uint8Array {
    return this.#key('n', Buffer.from(key));
  }

  allEntries(): KeyRange {
    return { gte: this.#key('e'), lt: this.#key('f') };
  }

  /** Everything of one author from a sequence on. */
  from(kind: 'e' | 'a', author: AccountId, sequence: number): KeyRange {
    return { gte: this.#key(kind, hex(author), sequenceBytes(sequence)), lt: this.#key(kind, hex(author), END) };
  }

  place(author: AccountId, sequence: number): KeyRange {
    const { gte } = this.from('e', author, sequence);
    return { gte, lt: this.from('e', author, sequence + 1).gte };
  }

  notes(prefix: string): KeyRange {
    return { gte: this.noteKey(prefix), lt: Buffer.concat([this.noteKey(prefix), END]) };
  }

  /** What stands behind all entries of an author. */
  behind(author: AccountId): Uint8Array {
    return this.#key('e', hex(author), END);
  }

  /** @returns undefined when a damaged disk made this key */
  entryName(key: Uint8Array): EntryName | undefined {
    const at = this.#authorAt + ACCOUNT_BYTES;
    if (key.length !== at + SEQUENCE_BYTES + ACCOUNT_BYTES) return undefined;
    const bytes = asBuffer(key);
    return {
      author: bytes.toString('hex', this.#authorAt, at),
      sequence: sequenceIn(bytes, at),
      id: bytes.toString('hex', at + SEQUENCE_BYTES),
    };
  }

  /** @returns undefined when a damaged disk made this key */
  attestationName(key: Uint8Array): AttestationName | undefined {
    const at = this.#authorAt + ACCOUNT_BYTES;
    const witnessAt = at + SEQUENCE_BYTES;
    const idAt = witnessAt + ACCOUNT_BYTES;
    const lateAt = idAt + ACCOUNT_BYTES;
    const late = key[lateAt];
    if (key.length !== lateAt + 1 || late === undefined || late > 1) return undefined;
    const bytes = asBuffer(key);
    return {
      author: bytes.toString('hex', this.#authorAt, at),
      sequence: sequenceIn(bytes, at),
      witness: bytes.toString('hex', witnessAt, idAt),
      id: bytes.toString('hex', idAt, lateAt),
      late: late === 1,
    };
  }

  noteName(key: Uint8Array): string {
    return asBuffer(key).toString('utf8', this.#authorAt);
  }

  #key(kind: string, ...parts: Uint8Array[]): Buffer {
    return Buffer.concat([this.#prefix, Buffer.from(kind), ...parts]);
  }
}

/** What is stored for these bytes under this key. */
export function sealedValue(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const value = Buffer.allocUnsafe(CHECK_BYTES + bytes.length);
  value.writeUInt32BE(crc32(bytes, crc32(key)));
  value.set(bytes, CHECK_BYTES);
  return value;
}

/** The bytes that were stored; undefined when key or value are not what was written. */
export function openedValue(key: Uint8Array, value: Uint8Array): Uint8Array | undefined {
  if (value.length < CHECK_BYTES) return undefined;
  // Level gives buffers, whose methods are not those of plain bytes everywhere.
  const bytes = new Uint8Array(value.buffer, value.byteOffset + CHECK_BYTES, value.length - CHECK_BYTES);
  return crc32(bytes, crc32(key)) === asBuffer(value).readUInt32BE() ? bytes : undefined;
}

function hex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function sequenceBytes(sequence: number): Buffer {
  const bytes = Buffer.allocUnsafe(SEQUENCE_BYTES);
  bytes.writeBigUInt64BE(BigInt(sequence));
  return bytes;
}

/** Of a damaged key it may be no safe integer; the checksum tells. */
function sequenceIn(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64BE(at));
}
