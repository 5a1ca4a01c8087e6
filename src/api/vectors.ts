/** Embedding vectors as text: base64 of their bytes, or numbers as short as a float32 can be written. */

import { GoGridError } from '../errors.ts';
import type { JobOutput } from '../jobs/output.ts';

type Vectors = Extract<JobOutput, { type: 'vectors' }>;

const FLOAT_BYTES = 4;
/** Nine significant digits name every float32; most need fewer. */
const MAX_DIGITS = 9;
const MIN_DIGITS = 6;

/**
 * Every vector as its own bytes, float32 little endian.
 * @throws GoGridError `engine_failed` when there are not `expected` whole ones
 */
export function splitVectors(pieces: readonly Vectors[], expected: number): Uint8Array[] {
  const vectors: Uint8Array[] = [];
  for (const { dimensions, data } of pieces) {
    const size = dimensions * FLOAT_BYTES;
    if (data.length % size !== 0) throw badVectors('a vector that is cut short');
    for (let at = 0; at < data.length; at += size) vectors.push(data.subarray(at, at + size));
  }
  if (vectors.length !== expected) throw badVectors(`${vectors.length} vectors for ${expected} inputs`);
  return vectors;
}

export function toBase64(vector: Uint8Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}

/** A JSON list of numbers, each the shortest that reads back as the same float32, as Ollama writes them. */
export function toJsonNumbers(vector: Uint8Array): string {
  const view = new DataView(vector.buffer, vector.byteOffset, vector.byteLength);
  const parts: string[] = [];
  for (let at = 0; at < vector.byteLength; at += FLOAT_BYTES) parts.push(shortest(view.getFloat32(at, true)));
  return `[${parts.join(',')}]`;
}

function shortest(value: number): string {
  if (!Number.isFinite(value)) throw badVectors('a value that is not a number');
  for (let digits = MIN_DIGITS; digits < MAX_DIGITS; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(MAX_DIGITS)));
}

function badVectors(what: string): GoGridError {
  return new GoGridError({ code: 'engine_failed', message: `the engine returned ${what}` });
}
