/**
 * One member of a zip file, as a stream (APPNOTE 6.3.10). Only what a wheel needs: no encryption, no parts, no Zip64. A
 * member is found by its whole name and its bytes go to the caller, so that no name in the file ever becomes a path.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { STORE } from '../../limits/engine.ts';
import { SourceFailed } from './failures.ts';

const END = { signature: 0x06054b50, bytes: 22, maxCommentBytes: 0xffff } as const;
const CENTRAL = { signature: 0x02014b50, bytes: 46 } as const;
const LOCAL = { signature: 0x04034b50, bytes: 30 } as const;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
/** Stands where Zip64 has the number elsewhere. */
const ELSEWHERE = 0xffffffff;

interface Member {
  readonly method: number;
  readonly compressedBytes: number;
  readonly bytes: number;
  readonly offset: number;
}

/**
 * The bytes of the member called exactly `name`.
 * @param bytes how many it must have: what says otherwise, or goes on behind them, is refused
 * @throws SourceFailed, or the system's error
 */
export async function* zipMember(
  file: string,
  name: string,
  bytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const handle = await open(file, 'r');
  try {
    const member = await findMember(handle, name);
    if (member === undefined) throw new SourceFailed(`there is no ${name} in the package`);
    if (member.bytes !== bytes) throw new SourceFailed(`${name} has ${member.bytes} bytes instead of ${bytes}`);
    let seen = 0;
    for await (const piece of contents(handle, member, signal)) {
      seen += piece.length;
      if (seen > bytes) throw new SourceFailed(`${name} unpacks to more than ${bytes} bytes`);
      yield piece;
    }
  } catch (thrown) {
    throw isZlibError(thrown) ? new SourceFailed('the package is damaged', thrown) : thrown;
  } finally {
    await handle.close();
  }
}

function isZlibError(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && /^Z_/.test(String(thrown.code));
}

async function findMember(handle: FileHandle, name: string): Promise<Member | undefined> {
  const { size } = await handle.stat();
  const tail = await readAt(handle, Math.max(0, size - END.bytes - END.maxCommentBytes), size);
  const end = tail.subarray(endRecordIn(tail));
  const entries = end.readUInt16LE(10);
  const directoryBytes = end.readUInt32LE(12);
  const directoryAt = end.readUInt32LE(16);
  if (directoryBytes > STORE.maxZipDirectoryBytes || entries > STORE.maxZipEntries) {
    throw new SourceFailed('the package has more files than it should');
  }
  if (directoryAt + directoryBytes > size) throw damaged();
  const directory = await readAt(handle, directoryAt, directoryAt + directoryBytes);
  for (let at = 0, index = 0; index < entries; index++) {
    if (at + CENTRAL.bytes > directory.length || directory.readUInt32LE(at) !== CENTRAL.signature) throw damaged();
    const nameBytes = directory.readUInt16LE(at + 28);
    const extraBytes = directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    const found = directory.toString('utf8', at + CENTRAL.bytes, at + CENTRAL.bytes + nameBytes);
    if (found === name) return readMember(directory, at, size);
    at += CENTRAL.bytes + nameBytes + extraBytes;
  }
  return undefined;
}

function readMember(directory: Buffer, at: number, fileBytes: number): Member {
  const member = {
    method: directory.readUInt16LE(at + 10),
    compressedBytes: directory.readUInt32LE(at + 20),
    bytes: directory.readUInt32LE(at + 24),
    offset: directory.readUInt32LE(at + 42),
  };
  if ((directory.readUInt16LE(at + 8) & ENCRYPTED) !== 0) throw new SourceFailed('the package is encrypted');
  if (member.offset === ELSEWHERE || member.compressedBytes === ELSEWHERE || member.bytes === ELSEWHERE) {
    throw new SourceFailed('the package is in Zip64 format, which is not read');
  }
  if (member.method !== STORED && member.method !== DEFLATED) {
    throw new SourceFailed(`the package is compressed by method ${member.method}, which is not read`);
  }
  if (member.offset + LOCAL.bytes + member.compressedBytes > fileBytes) throw damaged();
  return member;
}

/** The end record is the last thing in the file but for a comment. */
function endRecordIn(tail: Buffer): number {
  for (let at = tail.length - END.bytes; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END.signature) continue;
    if (at + END.bytes + tail.readUInt16LE(at + 20) === tail.length) return at;
  }
  throw new SourceFailed('the package is no zip file, or not a whole one');
}

async function* contents(handle: FileHandle, member: Member, signal: AbortSignal): AsyncIterable<Buffer> {
  const head = await readAt(handle, member.offset, member.offset + LOCAL.bytes);
  if (head.readUInt32LE(0) !== LOCAL.signature) throw damaged();
  const from = member.offset + LOCAL.bytes + head.readUInt16LE(26) + head.readUInt16LE(28);
  const packed = slices(handle, from, from + member.compressedBytes, signal);
  if (member.method === STORED) {
    yield* packed;
    return;
  }
  const inflate = createInflateRaw({ chunkSize: STORE.readBytes });
  // Errors come out at the reader's end.
  const feeding = pipeline(packed, inflate).catch(() => undefined);
  try {
    yield* inflate as AsyncIterable<Buffer>;
  } finally {
    inflate.destroy();
    await feeding;
  }
}

async function* slices(handle: FileHandle, from: number, to: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (let at = from; at < to; at += STORE.readBytes) {
    signal.throwIfAborted();
    yield await readAt(handle, at, Math.min(to, at + STORE.readBytes));
  }
}

async function readAt(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const buffer = Buffer.alloc(to - from);
  for (let at = 0; at < buffer.length; ) {
    const { bytesRead } = await handle.read(buffer, at, buffer.length - at, from + at);
    if (bytesRead === 0) throw damaged();
    at += bytesRead;
  }
  return buffer;
}

function damaged(): SourceFailed {
  return new SourceFailed('the package is damaged');
}
