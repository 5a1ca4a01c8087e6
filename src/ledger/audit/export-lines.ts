/**
 * The lines of an exported ledger. The first says which mesh it is of and what is in it; each other one holds an entry or an
 * attestation as the bytes that were signed, with what stands in them spelled out for people, and comes after all it rests on.
 *
 * A line is written in one way alone: whoever reads it writes it again out of the bytes and compares the two. So there is no
 * character in an export that nothing vouches for.
 */

import { z } from 'zod';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { NetworkDescriptor } from '../../protocol/descriptor.ts';
import { readDescriptor, writeDescriptor } from '../../protocol/descriptor-file.ts';
import { sha256Hex } from '../../protocol/hash.ts';
import { openAttestation } from '../entries/attestation.ts';
import type { Attestation, Entry, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { fromHex } from '../entries/fields.ts';
import { readableAttestation, readableEntry } from '../entries/readable.ts';

export interface ExportHead {
  readonly descriptor: NetworkDescriptor;
  /** Of the standing entries, hex. */
  readonly digest: string;
  /** Lines with an entry, standing or not. */
  readonly entries: number;
  readonly attestations: number;
  /** Milliseconds since 1970. */
  readonly madeAt: number;
}

const FORMAT = 'gogrid-ledger';
const VERSION = 1;
/** Stands where the check will be while the check is made. */
const UNCHECKED = '0'.repeat(64);

const uint = z.int().nonnegative();
const formatSchema = z.looseObject({ format: z.literal(FORMAT) });
const headSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION, `is not ${VERSION}, the version that this program knows`),
  descriptor: z.unknown(),
  digest: z.string().regex(/^[0-9a-f]{64}$/, 'is not SHA-256 in hex'),
  entries: uint,
  attestations: uint,
  madeAt: uint,
  check: z.string().regex(/^[0-9a-f]{64}$/, 'is not SHA-256 in hex'),
});

/** The first line, without its end. */
export function writeHead({ descriptor, digest, entries, attestations, madeAt }: ExportHead): string {
  const unchecked = JSON.stringify({
    format: FORMAT,
    version: VERSION,
    descriptor: JSON.parse(writeDescriptor(descriptor)),
    digest,
    entries,
    attestations,
    madeAt,
    check: UNCHECKED,
  });
  return checked(unchecked);
}

function checked(unchecked: string): string {
  const start = unchecked.slice(0, -UNCHECKED.length - 2);
  return `${start}${sha256Hex(Buffer.from(unchecked, 'utf8'))}"}`;
}

/**
 * Reads the first line: its own check, and the signature of the descriptor.
 * @throws GoGridError `damaged` saying what is wrong
 */
export function readHead(text: string): ExportHead {
  const { descriptor: json, check, digest, entries, attestations, madeAt } = parseHead(text);
  if (text.endsWith('\r')) throw damaged(CRLF);
  if (checked(`${text.slice(0, -UNCHECKED.length - 2)}${UNCHECKED}"}`) !== text || !text.endsWith(`"${check}"}`)) {
    throw damaged('it is not as it was written: its check is that of other text');
  }
  try {
    return { descriptor: readDescriptor(JSON.stringify(json)), digest, entries, attestations, madeAt };
  } catch (thrown) {
    throw damaged(`the descriptor: ${toGoGridError(thrown).message}`);
  }
}

function parseHead(text: string): z.infer<typeof headSchema> {
  // Windows programs put this mark before UTF-8.
  if (text.startsWith('\uFEFF'))
    throw damaged('it begins with a byte order mark, which an export has not: get it again');
  const json = jsonIn(text);
  if (!formatSchema.safeParse(json).success) throw damaged('this is not a GoGrid ledger export');
  const parsed = headSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw damaged(`${issue?.path.join('.') || 'it'} ${issue?.message ?? 'is not what an export begins with'}`);
}

const CRLF =
  'it ends with CR and LF, as Windows programs write lines, and those of an export end with LF: get it again';

/** One of the lines behind the first, without its end. @param n its number among them, from 1 */
export function writeEntryLine(n: number, entry: Entry): string {
  return JSON.stringify({ n, ...readableEntry(entry) });
}

export function writeAttestationLine(n: number, attestation: Attestation): string {
  return JSON.stringify({ n, ...readableAttestation(attestation) });
}

export type ExportLine =
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'attestation'; readonly attestation: Attestation };

const lineSchema = z
  .object({
    n: uint,
    entry: z
      .string()
      .max(2 * LEDGER.maxEntryBytes)
      .optional(),
    attestation: z
      .string()
      .max(2 * LEDGER.maxAttestationBytes)
      .optional(),
  })
  .refine(({ entry, attestation }) => (entry === undefined) !== (attestation === undefined));

/**
 * Reads a line behind the first: its place, its bytes with their signature, and that nothing stands there but what they say.
 * @throws GoGridError `damaged` saying what is wrong
 */
export function readLine(mesh: LedgerMesh, n: number, text: string): ExportLine {
  const json = jsonIn(text);
  if (json === undefined) throw damaged('it is not JSON');
  if (text.endsWith('\r')) throw damaged(CRLF);
  const parsed = lineSchema.safeParse(json);
  if (!parsed.success) throw damaged('it holds neither an entry nor an attestation');
  const { n: numbered, entry: entryHex, attestation: attestationHex = '' } = parsed.data;
  if (numbered !== n) {
    const said = `its number ${numbered} is that of line ${numbered + 1}`;
    throw damaged(`${said}: a line before it is missing, was added, or is out of its place`);
  }
  if (entryHex !== undefined) {
    const entry = opened(() => openEntry(bytesOf(entryHex), mesh));
    if (writeEntryLine(n, entry) !== text) throw damaged('what is spelled out is not what was signed');
    return { kind: 'entry', entry };
  }
  const attestation = opened(() => openAttestation(bytesOf(attestationHex), mesh));
  if (writeAttestationLine(n, attestation) !== text) throw damaged('what is spelled out is not what was signed');
  return { kind: 'attestation', attestation };
}

const namedSchema = z.looseObject({
  author: z.string().max(64),
  sequence: uint,
  id: z.string().max(64),
  witness: z.string().max(64).optional(),
});

/** What a line says that it is about; for the error, since it may be a lie. */
export function saidIn(text: string): z.infer<typeof namedSchema> | undefined {
  try {
    const { data } = namedSchema.safeParse(JSON.parse(text));
    return data;
  } catch {
    return undefined;
  }
}

function opened<T>(open: () => T): T {
  try {
    return open();
  } catch (thrown) {
    throw damaged(toGoGridError(thrown).message);
  }
}

function bytesOf(hex: string): Uint8Array {
  if (!/^([0-9a-f]{2})+$/.test(hex)) throw damaged('its bytes are not hex in small letters');
  return fromHex(hex);
}

/** @returns undefined for what is no JSON */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function damaged(message: string): GoGridError {
  return new GoGridError({ code: 'damaged', message });
}
