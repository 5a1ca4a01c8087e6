/**
 * Frames: what our own stream protocols are made of. A frame is its length as an unsigned varint, then that many bytes of
 * CBOR. Everything here is pure, and everything that comes in is bounded before it is kept.
 */

import { encode as cborgEncode } from 'cborg';
import type { z } from 'zod';
import { GoGridError } from '../errors.ts';
import { FRAME } from '../limits/mesh.ts';
import { decode } from '../protocol/cbor.ts';

/** Cuts a stream of bytes into frames, however the bytes are split. */
export class FrameReader {
  readonly #maxBytes: number;
  #length: number | undefined;
  #lengthSoFar = 0;
  #lengthBytes = 0;
  #body = new Uint8Array(0);
  #filled = 0;
  #broken: GoGridError | undefined;

  /** @param maxBytes the longest frame accepted */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the frame that is not whole yet. */
  get buffered(): number {
    return this.#filled;
  }

  /**
   * Takes the next bytes and returns the frames they complete. A frame may share memory with them: read it before the
   * next call.
   * @throws GoGridError `protocol_violation` for a length that is zero, too long or no varint; from then on always
   */
  push(received: Uint8Array): Uint8Array[] {
    if (this.#broken !== undefined) throw this.#broken;
    const bytes = plain(received);
    const frames: Uint8Array[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#length === undefined) {
        this.#readLengthByte(bytes[at++] ?? 0);
        continue;
      }
      const take = Math.min(this.#length - this.#filled, bytes.length - at);
      const piece = bytes.subarray(at, at + take);
      at += take;
      if (take === this.#length) {
        frames.push(piece);
        this.#startOver();
      } else {
        this.#append(piece, this.#length);
        if (this.#filled < this.#length) continue;
        frames.push(this.#body.subarray(0, this.#length));
        this.#startOver();
      }
    }
    return frames;
  }

  #readLengthByte(byte: number): void {
    this.#lengthSoFar += (byte & 0x7f) * 2 ** (7 * this.#lengthBytes++);
    if (byte < 0x80) {
      if (this.#lengthSoFar === 0) throw this.#break('a frame of no bytes');
      if (this.#lengthSoFar > this.#maxBytes) throw this.#break(`a frame of ${this.#lengthSoFar} bytes`);
      this.#length = this.#lengthSoFar;
    } else if (this.#lengthBytes === FRAME.maxLengthBytes) {
      throw this.#break(`a frame's length is longer than ${FRAME.maxLengthBytes} bytes`);
    }
  }

  #append(piece: Uint8Array, length: number): void {
    const needed = this.#filled + piece.length;
    if (needed > this.#body.length) {
      const size = Math.min(length, Math.max(needed, this.#body.length * 2, FRAME.firstBufferBytes));
      const larger = new Uint8Array(size);
      larger.set(this.#body.subarray(0, this.#filled));
      this.#body = larger;
    }
    this.#body.set(piece, this.#filled);
    this.#filled = needed;
  }

  #startOver(): void {
    this.#length = undefined;
    this.#lengthSoFar = 0;
    this.#lengthBytes = 0;
    this.#body = new Uint8Array(0);
    this.#filled = 0;
  }

  #break(message: string): GoGridError {
    this.#startOver();
    this.#broken = violation(message);
    return this.#broken;
  }
}

/**
 * One frame, its length in front.
 * @throws GoGridError `payload_too_large` when it is longer than `maxBytes`
 */
export function encodeFrame(message: unknown, maxBytes: number = FRAME.maxBytes): Uint8Array {
  const body = encodeMessage(message);
  if (body.length > maxBytes) {
    throw new GoGridError({ code: 'payload_too_large', message: `a frame of ${body.length} bytes, over ${maxBytes}` });
  }
  return Buffer.concat([lengthPrefix(body.length), body]);
}

/** CBOR of a message; a property that is undefined is left out, as the schemas read it. */
export function encodeMessage(message: unknown): Uint8Array {
  return cborgEncode(message, { ignoreUndefinedProperties: true });
}

/**
 * Decodes a frame's body. Fields that the schema does not know are dropped.
 * @throws GoGridError `protocol_violation` when it is not CBOR, nests too deep, or is no message of the schema
 */
export function decodeFrame<T>(schema: z.ZodType<T>, body: Uint8Array, what: string): T {
  return checkMessage(schema, decodeMessage(body, what), what);
}

/** @throws GoGridError `protocol_violation` when it is not CBOR or nests deeper than `FRAME.maxDepth` */
export function decodeMessage(body: Uint8Array, what: string): unknown {
  const value = decode(body, what);
  // Whoever walks the value later does it by recursion: zod, JSON.stringify, a template engine.
  if (!isShallow(value, FRAME.maxDepth)) throw violation(`${what} nests deeper than ${FRAME.maxDepth}`);
  return value;
}

/** @throws GoGridError `protocol_violation` naming the first field that is wrong */
export function checkMessage<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  // Two steps of the path are names of ours; what follows may be a key that the peer chose.
  const field = parsed.error.issues[0]?.path.slice(0, 2).join('.') || 'type';
  throw violation(`${what} is malformed at '${field}'`);
}

/**
 * The same bytes, never as a Buffer: of a Buffer `slice` is a view, and a value of a few bytes that is kept would hold all
 * that came in with it.
 */
export function plain(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes;
}

function lengthPrefix(length: number): Uint8Array {
  const bytes: number[] = [];
  let rest = length;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return true;
  if (depth === 0) return false;
  const parts: unknown[] = Array.isArray(value) ? value : Object.values(value);
  return parts.every((part) => isShallow(part, depth - 1));
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
