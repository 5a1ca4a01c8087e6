/**
 * Entries as bytes (docs/ledger.md, "Entries"): `[payload, signature]`, where payload is the canonical CBOR of
 * `[1, networkId, author, sequence, previous, timestamp, kind, body]`. This is the hot path of a sync: beside the signature's
 * check, which takes ten times as long as all else here, nothing is done twice.
 */

import { LEDGER } from '../../limits/ledger.ts';
import { encode } from '../../protocol/cbor.ts';
import { signedBytes } from '../../protocol/envelope.ts';
import { sha256Hex } from '../../protocol/hash.ts';
import { type Signer, verifySignature, verifySignatureAside } from '../../protocol/signature.ts';
import type {
  AccountId,
  Claim,
  Entry,
  EntryBody,
  EntryName,
  Hold,
  HoldLeg,
  LedgerMesh,
  Release,
  Transfer,
} from './entry.ts';
import { expectMesh, fromHex, hexOf, keptBytes, violation, wireNameOf } from './fields.ts';
import { Reader } from './reader.ts';
import { verifyVoucher, verifyVoucherAside } from './voucher.ts';

const VERSION = 1;
const WHAT = 'an entry';
const KINDS = { transfer: 1, accept: 2, hold: 3, claim: 4, release: 5 } as const;
const MAX = Number.MAX_SAFE_INTEGER;

/** What of a mesh an entry alone is checked against. */
export type EntryMesh = Pick<LedgerMesh, 'networkId' | 'genesis'>;

export interface NewEntry {
  /** 0, 1, 2 …, at most 2⁵³ − 1. */
  readonly sequence: number;
  /** Id of the author's entry before; at sequence 0 the networkId, in hex. */
  readonly previous: string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly body: EntryBody;
}

export interface OpenOptions {
  /**
   * For bytes from our own disk, whose signatures were checked when they came in and are not checked again. The id is computed,
   * and whoever reads compares it with the id they were stored under.
   */
  readonly trusted?: boolean;
}

/**
 * Signs an entry. It is read back from the bytes that were signed, so that what comes out is what everybody will read.
 * @throws GoGridError `protocol_violation` for what no node would take
 */
export function sealEntry(mesh: EntryMesh, signer: Signer, entry: NewEntry): Entry {
  const { sequence, previous, timestamp, body } = entry;
  const payload = encode([
    VERSION,
    mesh.networkId,
    signer.publicKey,
    sequence,
    fromHex(previous),
    timestamp,
    KINDS[body.kind],
    wireBodyOf(body),
  ]);
  // An odd text would be signed as another one: it is read before it is signed.
  const { body: read } = readPayload(payload, mesh);
  expectVoucher(read, mesh);
  return readWire(encode([payload, signer.sign(signedBytes('entry', payload))]), mesh);
}

/**
 * Checks size, encoding, mesh, fields, the author's signature and the voucher of a claim, cheapest first.
 * @throws GoGridError `protocol_violation`, or `wrong_network` for another mesh's
 */
export function openEntry(bytes: Uint8Array, mesh: EntryMesh, { trusted = false }: OpenOptions = {}): Entry {
  const entry = readWire(bytes, mesh);
  if (!trusted) {
    if (!hasSignature(entry)) throw violation(`the signature of ${WHAT} does not stand`, { signature: false });
    expectVoucher(entry.body, mesh);
  }
  return entry;
}

/**
 * All of `openEntry` but signature and voucher, which take most of the time: for who can know by the id that he has the entry.
 * @throws GoGridError `protocol_violation`, or `wrong_network` for another mesh's
 */
export function readEntry(bytes: Uint8Array, mesh: EntryMesh): Entry {
  return readWire(bytes, mesh);
}

/** Whether the author's signature, and the payer's voucher in a claim, stand in what `readEntry` gave. */
export function isEntrySigned(entry: Entry, mesh: EntryMesh): boolean {
  return hasSignature(entry) && hasVoucher(entry.body, mesh);
}

/** `isEntrySigned` on other threads, as far as its keys are known: see `verifySignatureAside`. */
export async function isEntrySignedAside(entry: Entry, mesh: EntryMesh): Promise<boolean> {
  const { payload, signature } = partsOf(entry.sealed);
  const signed = verifySignatureAside(fromHex(entry.author), signedBytes('entry', payload), signature);
  if (!needsVoucher(entry.body)) return signed;
  const promised = verifyVoucherAside(mesh.networkId, entry.body, entry.body.voucherSignature);
  return (await signed) && (await promised);
}

function hasSignature({ author, sealed }: Entry): boolean {
  const { payload, signature } = partsOf(sealed);
  return verifySignature(fromHex(author), signedBytes('entry', payload), signature);
}

function readWire(bytes: Uint8Array, mesh: EntryMesh): Entry {
  const sealed = keptBytes(bytes, LEDGER.maxEntryBytes, WHAT);
  const { payload } = partsOf(sealed);
  const { author, sequence, previous, timestamp, body } = readPayload(payload, mesh);
  return { author, sequence, id: sha256Hex(signedBytes('entry', payload)), previous, timestamp, body, sealed };
}

function partsOf(sealed: Uint8Array): { payload: Uint8Array; signature: Uint8Array } {
  const reader = new Reader(sealed, WHAT);
  reader.array(2, 2, 'envelope');
  const payload = reader.bytes(0, LEDGER.maxEntryBytes, 'payload');
  const signature = reader.bytes(64, 64, 'signature');
  reader.end();
  return { payload, signature };
}

type Parts = Omit<Entry, 'id' | 'sealed'>;

function readPayload(payload: Uint8Array, mesh: EntryMesh): Parts {
  const reader = new Reader(payload, WHAT);
  reader.array(8, 8, 'payload');
  if (reader.uint(MAX, 'version') !== VERSION) throw violation(`${WHAT} of a version that is not ${VERSION}`);
  expectMesh(reader.bytes(32, 32, 'networkId'), mesh.networkId, WHAT);
  const author = reader.hex32('author');
  const sequence = reader.uint(MAX, 'sequence');
  const previous = reader.hex32('previous');
  if (sequence === 0 && previous !== hexOf(mesh.networkId)) {
    throw violation('previous at sequence 0 is not the networkId');
  }
  const timestamp = reader.uint(MAX, 'timestamp');
  const body = readBody(reader, author, mesh.genesis);
  reader.end();
  return { author, sequence, previous, timestamp, body };
}

function readBody(reader: Reader, author: AccountId, genesis: bigint): EntryBody {
  switch (reader.uint(MAX, 'kind')) {
    case KINDS.transfer:
      return readTransfer(reader, author, genesis);
    case KINDS.accept:
      reader.array(1, 1, 'accept');
      return { kind: 'accept', transfer: readName(reader) };
    case KINDS.hold:
      return readHold(reader, author, genesis);
    case KINDS.claim:
      return readClaim(reader, author, genesis);
    case KINDS.release:
      return readRelease(reader, author, genesis);
    default:
      throw violation(`the kind of ${WHAT} is not from 1 to 5`);
  }
}

/** `[author, sequence, id]`. */
function readName(reader: Reader): EntryName {
  reader.array(3, 3, 'name');
  return {
    author: reader.hex32('author of a name'),
    sequence: reader.uint(MAX, 'sequence of a name'),
    id: reader.hex32('id of a name'),
  };
}

function readTransfer(reader: Reader, author: AccountId, genesis: bigint): Transfer {
  reader.array(3, 3, 'transfer');
  const to = reader.hex32('payee');
  if (to === author) throw violation('a transfer to its own author');
  const amount = reader.microcredits(1n, genesis, 'amount');
  return { kind: 'transfer', to, amount, memo: reader.text(LEDGER.maxMemoBytes, 'memo') };
}

function readHold(reader: Reader, author: AccountId, genesis: bigint): Hold {
  const legs: HoldLeg[] = [];
  for (let left = reader.array(1, LEDGER.maxLegs, 'legs'); left > 0; left--) {
    reader.array(2, 2, 'leg');
    const payee = reader.hex32('payee');
    if (payee === author) throw violation('a leg for the author of its hold');
    if (legs.some((leg) => leg.payee === payee)) throw violation('two legs of a hold for one payee');
    legs.push({ payee, max: reader.microcredits(1n, genesis, 'max') });
  }
  return { kind: 'hold', legs };
}

function readClaim(reader: Reader, author: AccountId, genesis: bigint): Claim {
  reader.array(6, 6, 'claim');
  const hold = readName(reader);
  if (hold.author === author) throw violation("a claim of its author's own hold");
  const leg = reader.uint(LEDGER.maxLegs - 1, 'leg');
  const cumulative = reader.microcredits(0n, genesis, 'cumulative');
  const [hashBytes, signatureBytes] = cumulative === 0n ? [0, 0] : [32, 64];
  return {
    kind: 'claim',
    hold,
    leg,
    cumulative,
    receiptHash: reader.bytes(hashBytes, hashBytes, 'receipt hash'),
    voucherSignature: reader.bytes(signatureBytes, signatureBytes, 'voucher signature'),
    last: reader.uint(1, 'last') === 1,
  };
}

function readRelease(reader: Reader, author: AccountId, genesis: bigint): Release {
  const isAlone = reader.array(3, 4, 'release') === 4;
  const hold = readName(reader);
  if (hold.author !== author) throw violation("a release of another's hold");
  const leg = reader.uint(LEDGER.maxLegs - 1, 'leg');
  if (!isAlone) return { kind: 'release', hold, leg, rest: { claim: readName(reader) } };
  reader.array(0, 0, 'claim of a release alone');
  return { kind: 'release', hold, leg, rest: { alone: reader.microcredits(0n, genesis, 'cumulative') } };
}

function expectVoucher(body: EntryBody, mesh: EntryMesh): void {
  if (!hasVoucher(body, mesh)) {
    throw violation('the voucher signature of a claim does not stand', { signature: false });
  }
}

function hasVoucher(body: EntryBody, { networkId }: EntryMesh): boolean {
  return !needsVoucher(body) || verifyVoucher(networkId, body, body.voucherSignature);
}

function needsVoucher(body: EntryBody): body is Claim {
  return body.kind === 'claim' && body.cumulative > 0n;
}

function wireBodyOf(body: EntryBody): readonly unknown[] {
  switch (body.kind) {
    case 'transfer':
      return [fromHex(body.to), body.amount, body.memo];
    case 'accept':
      return [wireNameOf(body.transfer)];
    case 'hold':
      return body.legs.map(({ payee, max }) => [fromHex(payee), max]);
    case 'claim': {
      const { hold, leg, cumulative, receiptHash, voucherSignature, last } = body;
      return [wireNameOf(hold), leg, cumulative, receiptHash, voucherSignature, last ? 1 : 0];
    }
    case 'release': {
      const head = [wireNameOf(body.hold), body.leg];
      return 'claim' in body.rest ? [...head, wireNameOf(body.rest.claim)] : [...head, [], body.rest.alone];
    }
  }
}
