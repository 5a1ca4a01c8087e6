/**
 * Reads canonical CBOR as entries use it (unsigned integers, bytes, text, arrays), field by field in the order that the caller
 * expects. What is not in its one form, or another thing than was expected, is refused on the spot, so nothing needs to be encoded
 * again and compared, and nothing nested or huge is ever built.
 *
 * Of every entry that comes in, this is most of what is done beside checking its signature: 2.3 µs. With cborg, a tree of
 * values, and their encoding again, it took 6.8. cborg stays the way to write, and `entry-fuzz.test.ts` holds what is read here
 * against it.
 */

import { hexOf, violation } from './fields.ts';

/** Major types of RFC 8949. */
const UINT = 0;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;

/** The least argument that needs 1, 2 or 4 bytes behind its head. */
const LEAST = [24, 2 ** 8, 2 ** 16];

const utf8 = new TextDecoder('utf-8', { fatal: true });

export class Reader {
  readonly #bytes: Uint8Array;
  /** What is read, for the errors' sentences: "an entry". */
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  /** @returns its length @throws GoGridError `protocol_violation`, like all of these, naming `field` */
  array(least: number, most: number, field: string): number {
    return this.#argument(ARRAY, least, most, field);
  }

  uint(max: number, field: string): number {
    return this.#argument(UINT, 0, max, field);
  }

  microcredits(min: bigint, max: bigint, field: string): bigint {
    const amount = BigInt(this.#head(UINT, field));
    if (amount < min || amount > max) throw this.#refusal(field, `is not from ${min} to ${max}`);
    return amount;
  }

  /** A part of what is read, not a copy. */
  bytes(least: number, most: number, field: string): Uint8Array {
    return this.#take(this.#argument(BYTES, least, most, field), field);
  }

  hex32(field: string): string {
    return hexOf(this.bytes(32, 32, field));
  }

  /** @param max bytes */
  text(max: number, field: string): string {
    const bytes = this.#take(this.#argument(TEXT, 0, max, field), field);
    // A byte order mark at the beginning is text to some decoders and nothing to others.
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
      throw this.#refusal(field, 'begins with a byte order mark');
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.#refusal(field, 'is not UTF-8');
    }
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw this.#refusal('end', 'is not where it should be');
  }

  #argument(type: number, least: number, most: number, field: string): number {
    const argument = this.#head(type, field);
    if (typeof argument === 'bigint' || argument < least || argument > most) {
      throw this.#refusal(field, least === most ? `is not of ${least}` : `is not of ${least} to ${most}`);
    }
    return argument;
  }

  /** The argument of a head of this type: a bigint above 2⁵³ − 1. */
  #head(type: number, field: string): number | bigint {
    const first = this.#number(1, field);
    if (first >> 5 !== type) throw this.#refusal(field, 'is of another type');
    const short = first & 0x1f;
    if (short < 24) return short;
    if (short > 27) throw this.#refusal(field, 'has no length');
    if (short < 27) return this.#least(this.#number(1 << (short - 24), field), LEAST[short - 24] ?? 0, field);
    const high = this.#least(this.#number(4, field), 1, field);
    const low = this.#number(4, field);
    const whole = high * 2 ** 32 + low;
    return Number.isSafeInteger(whole) ? whole : (BigInt(high) << 32n) | BigInt(low);
  }

  #least(argument: number, least: number, field: string): number {
    if (argument < least) throw this.#refusal(field, 'is encoded longer than needed');
    return argument;
  }

  /** The next 1, 2 or 4 bytes as a number. */
  #number(length: number, field: string): number {
    let number = 0;
    for (let i = 0; i < length; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw this.#refusal(field, 'is cut off');
      number = number * 256 + byte;
    }
    return number;
  }

  #take(length: number, field: string): Uint8Array {
    const from = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw this.#refusal(field, 'is cut off');
    return this.#bytes.subarray(from, this.#at);
  }

  #refusal(field: string, problem: string): Error {
    return violation(`the ${field} of ${this.#what} ${problem}`);
  }
}
