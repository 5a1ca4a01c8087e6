/**
 * What a model file says of itself: the header of a GGUF file, read in small pieces, with nothing in it believed.
 *
 * The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Numbers of entries, lengths of texts and sizes of
 * tensors come from the file, so each is bounded before it costs memory or time.
 */

import { open } from 'node:fs/promises';
import { GoGridError } from '../../errors.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import { tensorBytes } from './quantisation.ts';

export type Scalar = string | number | boolean;

export interface GgufHeader {
  /** Single values by their key; lists, such as the vocabulary, are left out. */
  readonly metadata: ReadonlyMap<string, Scalar>;
  /** Numbers in all tensors together. */
  readonly parameterCount: number;
}

/** Something with bytes at places, such as an open file. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /** Fills `into` from `position` on. @returns how many bytes, 0 at the end */
  read(into: Uint8Array, position: number): Promise<number>;
}

/**
 * Reads the header of the file at `path`, and sees that the file is as long as its header says.
 * @throws GoGridError `damaged` when it is no model file, or only a part of one
 */
export async function readGgufFile(path: string): Promise<GgufHeader> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    return await readGguf({
      size,
      read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    });
  } finally {
    await handle.close();
  }
}

const MAGIC = 0x46_55_47_47;
/** 1 counts in 32 bits and is long gone. */
const VERSIONS = [2, 3];
const DEFAULT_ALIGNMENT = 32;

/** @throws GoGridError `damaged` */
export async function readGguf(source: ByteSource): Promise<GgufHeader> {
  const reader = new Reader(source);
  await reader.need(24);
  if (reader.uint32() !== MAGIC) throw damaged('it does not begin as a GGUF file');
  const version = reader.uint32();
  if (!VERSIONS.includes(version)) throw damaged(`its version ${version} is not known`);
  const tensorCount = reader.count('tensors', EMBEDDED.maxTensors);
  const entryCount = reader.count('entries', EMBEDDED.maxHeaderKeys);
  const metadata = await readMetadata(reader, entryCount);
  const parameterCount = await readTensors(reader, tensorCount, alignmentOf(metadata));
  return { metadata, parameterCount };
}

async function readMetadata(reader: Reader, entries: number): Promise<Map<string, Scalar>> {
  const metadata = new Map<string, Scalar>();
  for (let index = 0; index < entries; index++) {
    const key = await reader.text(EMBEDDED.maxKeyBytes);
    if (key === undefined) throw damaged('a key of it is too long');
    await reader.need(4);
    const type = reader.uint32();
    const value = type === ARRAY ? await skipList(reader) : await readScalar(reader, type);
    if (value !== undefined) metadata.set(key, value);
  }
  return metadata;
}

/** Sums the tensors' sizes up and sees that the last one ends inside the file. */
async function readTensors(reader: Reader, tensors: number, alignment: number): Promise<number> {
  let parameters = 0;
  let end = 0;
  for (let index = 0; index < tensors; index++) {
    if ((await reader.text(EMBEDDED.maxKeyBytes)) === undefined) throw damaged('a tensor’s name is too long');
    await reader.need(4);
    const dimensions = reader.uint32();
    if (dimensions > EMBEDDED.maxDimensions) throw damaged(`a tensor has ${dimensions} dimensions`);
    await reader.need(dimensions * 8 + 12);
    let values = 1;
    for (let at = 0; at < dimensions; at++) values *= reader.uint64();
    const type = reader.uint32();
    const offset = reader.uint64();
    if (!Number.isSafeInteger(values)) throw damaged('a tensor is larger than any file');
    parameters += values;
    // Of a type that is not known, at least one byte must be there.
    end = Math.max(end, offset + (tensorBytes(type, values) ?? 1));
  }
  if (!Number.isSafeInteger(parameters)) throw damaged('its tensors are larger than any file');
  const dataAt = Math.ceil(reader.position / alignment) * alignment;
  if (dataAt + end > reader.size) throw damaged(`a part of it is missing: ${reader.size} of ${dataAt + end} bytes`);
  return parameters;
}

function alignmentOf(metadata: ReadonlyMap<string, Scalar>): number {
  const given = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  const valid =
    typeof given === 'number' && Number.isSafeInteger(given) && given > 0 && given <= EMBEDDED.maxAlignmentBytes;
  if (!valid) throw damaged('its alignment makes no sense');
  return given;
}

/* ---- values ---- */

const STRING = 8;
const ARRAY = 9;
/** Bytes of a value of each type; texts and lists have their own length. */
const WIDTHS: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

/** @returns undefined for a text too long to keep */
async function readScalar(reader: Reader, type: number): Promise<Scalar | undefined> {
  if (type === STRING) return reader.text(EMBEDDED.maxTextBytes);
  const width = WIDTHS[type];
  if (width === undefined) throw damaged(`it has a value of the unknown type ${type}`);
  await reader.need(width);
  return reader.scalar(type);
}

async function skipList(reader: Reader): Promise<undefined> {
  await reader.need(12);
  const type = reader.uint32();
  const count = reader.count('items', EMBEDDED.maxHeaderBytes);
  if (type === STRING) {
    for (let index = 0; index < count; index++) await reader.skipText();
    return;
  }
  const width = WIDTHS[type];
  // Lists in lists are allowed by the format and used by nobody.
  if (width === undefined) throw damaged(`it has a list of the unknown type ${type}`);
  reader.skip(count * width);
}

/** Walks through the source from its start; holds one piece of it in memory. */
class Reader {
  readonly size: number;
  readonly #source: ByteSource;
  #buffer = Buffer.alloc(0);
  #bufferAt = 0;
  /** Bytes from the start of the source. */
  position = 0;

  constructor(source: ByteSource) {
    this.#source = source;
    this.size = source.size;
  }

  /** Sees that the next `bytes` bytes are in memory. @throws GoGridError `damaged` when the file ends before */
  async need(bytes: number): Promise<void> {
    if (this.position + bytes > this.size) throw damaged('it ends in the middle of its header');
    if (this.position + bytes > EMBEDDED.maxHeaderBytes) throw damaged('its header is too long');
    if (this.position >= this.#bufferAt && this.position + bytes <= this.#bufferAt + this.#buffer.length) return;
    const wanted = Math.min(Math.max(bytes, EMBEDDED.headerReadBytes), this.size - this.position);
    const buffer = Buffer.alloc(wanted);
    let filled = 0;
    while (filled < wanted) {
      const got = await this.#source.read(buffer.subarray(filled), this.position + filled);
      if (got === 0) break;
      filled += got;
    }
    if (filled < bytes) throw damaged('it ends in the middle of its header');
    this.#buffer = buffer.subarray(0, filled);
    this.#bufferAt = this.position;
  }

  skip(bytes: number): void {
    if (this.position + bytes > this.size) throw damaged('it ends in the middle of its header');
    this.position += bytes;
  }

  #take(bytes: number): number {
    const at = this.position - this.#bufferAt;
    this.position += bytes;
    return at;
  }

  uint32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  /** Beyond 2^53 it is no longer exact, which no honest file needs. */
  uint64(): number {
    return Number(this.#buffer.readBigUInt64LE(this.#take(8)));
  }

  count(what: string, max: number): number {
    const count = this.uint64();
    if (count > max) throw damaged(`it has ${count} ${what}`);
    return count;
  }

  /** @returns undefined when it has more than `maxBytes` bytes; it is skipped then */
  async text(maxBytes: number): Promise<string | undefined> {
    await this.need(8);
    const length = this.uint64();
    if (length > maxBytes) {
      this.skip(length);
      return undefined;
    }
    await this.need(length);
    const at = this.#take(length);
    return this.#buffer.toString('utf8', at, at + length);
  }

  async skipText(): Promise<void> {
    // In most steps nothing has to be read, and nothing has to be waited for: a vocabulary has 100,000 of them.
    if (this.position + 8 > this.#bufferAt + this.#buffer.length || this.position < this.#bufferAt) await this.need(8);
    this.skip(this.uint64());
  }

  scalar(type: number): Scalar {
    const at = this.#take(WIDTHS[type] ?? 0);
    const bytes = this.#buffer;
    switch (type) {
      case 0:
        return bytes.readUInt8(at);
      case 1:
        return bytes.readInt8(at);
      case 2:
        return bytes.readUInt16LE(at);
      case 3:
        return bytes.readInt16LE(at);
      case 4:
        return bytes.readUInt32LE(at);
      case 5:
        return bytes.readInt32LE(at);
      case 6:
        return bytes.readFloatLE(at);
      case 7:
        return bytes.readUInt8(at) !== 0;
      case 10:
        return Number(bytes.readBigUInt64LE(at));
      case 11:
        return Number(bytes.readBigInt64LE(at));
      default:
        return bytes.readDoubleLE(at);
    }
  }
}

function damaged(why: string): GoGridError {
  return new GoGridError({
    code: 'damaged',
    message: `the file is no model that can be read: ${why}`,
    hint: 'fetch it again, or move it out of the models folder',
  });
}
