/** Zip files as tests need them, whole and broken. */

import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  readonly content: Buffer;
  readonly stored?: boolean;
  /** What the directory says of its size, when that is a lie. */
  readonly claimedBytes?: number;
  readonly method?: number;
  readonly flags?: number;
}

export function zipOf(entries: readonly ZipEntry[], comment = ''): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const packed = entry.stored ? entry.content : deflateRawSync(entry.content);
    const method = entry.method ?? (entry.stored ? 0 : 8);
    const name = Buffer.from(entry.name);
    const common = Buffer.alloc(22);
    common.writeUInt16LE(entry.flags ?? 0, 0);
    common.writeUInt16LE(method, 2);
    common.writeUInt32LE(crc32(entry.content), 8);
    common.writeUInt32LE(packed.length, 12);
    common.writeUInt32LE(entry.claimedBytes ?? entry.content.length, 16);
    common.writeUInt16LE(name.length, 20);
    const local = Buffer.concat([bytes(0x04034b50, 4), bytes(20, 2), common, bytes(0, 2), name, packed]);
    directory.push(
      Buffer.concat([bytes(0x02014b50, 4), bytes(20, 2), bytes(20, 2), common]),
      Buffer.concat([bytes(0, 2), bytes(0, 2), bytes(0, 2), bytes(0, 2), bytes(0, 4), bytes(offset, 4), name]),
    );
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = [bytes(0x06054b50, 4), bytes(0, 4), bytes(entries.length, 2), bytes(entries.length, 2)];
  end.push(bytes(central.length, 4), bytes(offset, 4), bytes(comment.length, 2), Buffer.from(comment));
  return Buffer.concat([...parts, central, ...end]);
}

function bytes(value: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  buffer.writeUIntLE(value, 0, length);
  return buffer;
}
