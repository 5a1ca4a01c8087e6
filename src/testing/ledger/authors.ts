/**
 * Accounts and entries of tests. The bytes are built here from docs/ledger.md and not by the ledger's own codec, so that a
 * test that reads them with the codec holds the two against each other.
 *
 *     const mesh = meshOf({ witnesses: 4 });
 *     const founder = new Writer(mesh, FOUNDER);
 *     const grant = founder.transfer('A', 100n);
 *     const a = new Writer(mesh, 'A');
 *     a.accept(grant);
 *     const certificate = certify(mesh, grant);
 */

import { createHash } from 'node:crypto';
import type {
  AccountId,
  Attestation,
  Claim,
  Entry,
  EntryBody,
  EntryName,
  HoldLeg,
  LedgerMesh,
} from '../../ledger/entries/entry.ts';
import { quorumOf } from '../../ledger/entries/entry.ts';
import { encode } from '../../protocol/cbor.ts';
import { signedBytes } from '../../protocol/envelope.ts';
import { type Signer, signerFromSeed } from '../../protocol/signature.ts';

export interface TestAccount {
  /** 'A', 'B', …, 'F' for the founder by convention, 'W1', … for witnesses. */
  readonly name: string;
  readonly id: AccountId;
  readonly signer: Signer;
}

/** Who has all credits at the beginning. */
export const FOUNDER = 'founder';

const accounts = new Map<string, TestAccount>();

/** The account of a name; its key comes from the name, so it is the same in every run. */
export function account(name: string): TestAccount {
  const known = accounts.get(name);
  if (known !== undefined) return known;
  const signer = signerFromSeed(sha256(Buffer.from(`an account of a test: ${name}`)));
  const made = { name, id: hex(signer.publicKey), signer };
  accounts.set(name, made);
  return made;
}

/** Names of the witnesses: W1, W2, … */
export function witnessNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `W${index + 1}`);
}

/** @param options.witnesses how many; 0 for the founder alone */
export function meshOf(options: { witnesses?: number; genesis?: bigint; network?: string } = {}): LedgerMesh {
  const { witnesses = 0, genesis = 1_000n, network = 'a mesh of tests' } = options;
  const founder = account(FOUNDER).id;
  return {
    networkId: sha256(Buffer.from(network)),
    founder,
    genesis,
    witnesses: witnesses === 0 ? [founder] : witnessNames(witnesses).map((name) => account(name).id),
  };
}

export interface WriterOptions {
  /** The entry behind which to go on; none for the beginning of the log. */
  readonly behind?: Entry | undefined;
  /**
   * Whether signatures and vouchers are real, which costs some 0.1 ms an entry; else they are 64 zero bytes. The id is of what
   * is signed and so the same, but for claims, whose voucher is part of it. Default true.
   */
  readonly signed?: boolean;
}

/** Writes entries into the log of one account, one behind the other. */
export class Writer {
  readonly account: TestAccount;
  readonly #mesh: LedgerMesh;
  readonly #signed: boolean;
  #tip: Entry | undefined;

  constructor(mesh: LedgerMesh, name: string, { behind, signed = true }: WriterOptions = {}) {
    this.#mesh = mesh;
    this.account = account(name);
    this.#tip = behind;
    this.#signed = signed;
  }

  get id(): AccountId {
    return this.account.id;
  }

  /** The newest entry of this writer. */
  get tip(): Entry | undefined {
    return this.#tip;
  }

  /** Another writer of the same log that goes on behind an older entry: what it writes is a fork. */
  behind(entry: Entry | undefined): Writer {
    return new Writer(this.#mesh, this.account.name, { behind: entry, signed: this.#signed });
  }

  transfer(to: string, amount: bigint, memo = ''): Entry {
    return this.write({ kind: 'transfer', to: account(to).id, amount, memo });
  }

  accept(transfer: EntryName): Entry {
    return this.write({ kind: 'accept', transfer: nameOf(transfer) });
  }

  /** `hold(['B', 30n], ['C', 30n])` */
  hold(...legs: readonly (readonly [payee: string, max: bigint])[]): Entry {
    return this.write({ kind: 'hold', legs: legs.map(([payee, max]): HoldLeg => ({ payee: account(payee).id, max })) });
  }

  /** With the payer's voucher, as if the payer had given it. `payer` is found by the hold's author. */
  claim(hold: EntryName, cumulative: bigint, { leg = 0, last = false }: { leg?: number; last?: boolean } = {}): Entry {
    return this.write({ kind: 'claim', ...this.#voucherFor(nameOf(hold), leg, cumulative), last });
  }

  /** By the claim that closed the leg. */
  release(hold: EntryName, claim: EntryName, leg = 0): Entry {
    return this.write({ kind: 'release', hold: nameOf(hold), leg, rest: { claim: nameOf(claim) } });
  }

  releaseAlone(hold: EntryName, cumulative: bigint, leg = 0): Entry {
    return this.write({ kind: 'release', hold: nameOf(hold), leg, rest: { alone: cumulative } });
  }

  /** Any body, also one that no honest author writes. */
  write(body: EntryBody, timestamp = 1_800_000_000_000): Entry {
    const tip = this.#tip;
    const sequence = tip === undefined ? 0 : tip.sequence + 1;
    const previous = tip?.id ?? hex(this.#mesh.networkId);
    const fields = [this.account.signer.publicKey, sequence, bytes(previous), timestamp, ...wireBody(body)];
    const payload = encode([1, this.#mesh.networkId, ...fields]);
    const signed = signedBytes('entry', payload);
    const entry: Entry = {
      author: this.id,
      sequence,
      id: hex(sha256(signed)),
      previous,
      timestamp,
      body,
      sealed: new Uint8Array(encode([payload, this.#signed ? this.account.signer.sign(signed) : new Uint8Array(64)])),
    };
    this.#tip = entry;
    return entry;
  }

  #voucherFor(hold: EntryName, leg: number, cumulative: bigint): Omit<Claim, 'kind' | 'last'> {
    if (cumulative === 0n) {
      return { hold, leg, cumulative, receiptHash: new Uint8Array(0), voucherSignature: new Uint8Array(0) };
    }
    const receiptHash = sha256(Buffer.from(`receipt ${hold.id} ${leg} ${cumulative}`));
    return { hold, leg, cumulative, receiptHash, voucherSignature: this.#sign(hold, leg, cumulative, receiptHash) };
  }

  #sign(hold: EntryName, leg: number, cumulative: bigint, receiptHash: Uint8Array): Uint8Array {
    const payer = [...accounts.values()].find(({ id }) => id === hold.author);
    if (!this.#signed || payer === undefined) return new Uint8Array(64);
    const payload = encode([this.#mesh.networkId, wireName(hold), leg, cumulative, receiptHash]);
    return payer.signer.sign(signedBytes('voucher', payload));
  }
}

/** One witness's attestation. `witness` is a name, also of somebody who is none. */
export function attest(mesh: LedgerMesh, witness: string, entry: EntryName, late = false, signed = true): Attestation {
  const { id, signer } = account(witness);
  const payload = encode([mesh.networkId, bytes(entry.author), entry.sequence, bytes(entry.id), late ? 1 : 0]);
  const signature = signed ? signer.sign(signedBytes('attestation', payload)) : new Uint8Array(64);
  return {
    ...nameOf(entry),
    witness: id,
    late,
    sealed: new Uint8Array(encode([signer.publicKey, payload, signature])),
  };
}

/** A certificate: just as many attestations as it needs, of the first witnesses. */
export function certify(mesh: LedgerMesh, entry: EntryName, { late = false, signed = true } = {}): Attestation[] {
  return witnessesOf(mesh)
    .slice(0, quorumOf(mesh))
    .map((witness) => attest(mesh, witness, entry, late, signed));
}

/** The names of a mesh's witnesses. */
export function witnessesOf(mesh: LedgerMesh): string[] {
  return mesh.witnesses.map((id) => {
    const known = [...accounts.values()].find((candidate) => candidate.id === id);
    if (known === undefined) throw new Error('a witness that no test made');
    return known.name;
  });
}

/** Only the name of an entry or attestation. */
export function nameOf({ author, sequence, id }: EntryName): EntryName {
  return { author, sequence, id };
}

export function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}

export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

function wireName(name: EntryName): unknown[] {
  return [bytes(name.author), name.sequence, bytes(name.id)];
}

/** Kind and body, as the table of docs/ledger.md has them. */
function wireBody(body: EntryBody): [kind: number, body: unknown[]] {
  switch (body.kind) {
    case 'transfer':
      return [1, [bytes(body.to), body.amount, body.memo]];
    case 'accept':
      return [2, [wireName(body.transfer)]];
    case 'hold':
      return [3, body.legs.map(({ payee, max }) => [bytes(payee), max])];
    case 'claim': {
      const { hold, leg, cumulative, receiptHash, voucherSignature, last } = body;
      return [4, [wireName(hold), leg, cumulative, receiptHash, voucherSignature, last ? 1 : 0]];
    }
    case 'release': {
      const { hold, leg, rest } = body;
      return [5, [wireName(hold), leg, ...('claim' in rest ? [wireName(rest.claim)] : [[], rest.alone])]];
    }
  }
}

function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(data).digest());
}
