/** A long and honest history of a ledger, as a mesh would write it, all signed: what the ledger's benchmark feeds. */

import { createHash } from 'node:crypto';
import { sealAttestation } from '../../src/ledger/entries/attestation.ts';
import type { Attestation, Entry, EntryBody, EntryName, LedgerMesh } from '../../src/ledger/entries/entry.ts';
import { sealEntry } from '../../src/ledger/entries/entry-codec.ts';
import { accountOf, hexOf } from '../../src/ledger/entries/fields.ts';
import { signVoucher } from '../../src/ledger/entries/voucher.ts';
import { type Signer, signerFromSeed } from '../../src/protocol/signature.ts';

/** What happened, in the order in which it happened: an entry, and the witness's word on it. */
export interface Step {
  readonly entry: Entry;
  readonly attestation: Attestation;
}

export interface History {
  readonly mesh: LedgerMesh;
  readonly steps: readonly Step[];
  /** The founder's, who is the one witness. */
  readonly founder: Signer;
}

const STARTED_AT = Date.UTC(2026, 0, 1);
const GRANT = 1_000_000_000n;
const ACCOUNTS_PER_ENTRY = 1 / 500;

/**
 * Each account gets a grant and accepts it. Then pairs deal with each other: a gift and its acceptance; a hold, of which the
 * payee claims twice, and the payer takes back the rest. So of six entries two are claims, with a voucher's signature each.
 * @param count of entries
 */
export function makeHistory(mesh: LedgerMesh, founder: Signer, count: number): History {
  const steps: Step[] = [];
  const logs = Array.from({ length: Math.max(4, Math.round(count * ACCOUNTS_PER_ENTRY)) }, (_, i) => new Log(i));
  const bank = new Log(founder);
  const write = (log: Log, body: EntryBody): Entry => {
    const { sequence, previous } = log.next(mesh);
    const timestamp = STARTED_AT + steps.length * 1_000;
    const entry = sealEntry(mesh, log.signer, { sequence, previous, timestamp, body });
    log.tip = entry;
    steps.push({ entry, attestation: sealAttestation(mesh, founder, nameOf(entry), false) });
    return entry;
  };
  for (const log of logs) {
    const grant = write(bank, { kind: 'transfer', to: log.id, amount: GRANT, memo: 'welcome' });
    write(log, { kind: 'accept', transfer: nameOf(grant) });
  }
  for (let deal = 0; steps.length < count; deal++) {
    const payer = logs[deal % logs.length];
    const payee = logs[(deal * 7 + 1 + (deal % 3)) % logs.length];
    if (payer !== undefined && payee !== undefined && payer !== payee) dealBetween(payer, payee, { mesh, write });
  }
  return { mesh, founder, steps: steps.slice(0, count) };
}

class Log {
  readonly signer: Signer;
  readonly id: string;
  tip: Entry | undefined;

  constructor(owner: Signer | number) {
    this.signer = typeof owner === 'number' ? signerFromSeed(sha256(`an account of a benchmark: ${owner}`)) : owner;
    this.id = accountOf(this.signer.publicKey);
  }

  next(mesh: LedgerMesh): { sequence: number; previous: string } {
    const { tip } = this;
    return tip === undefined
      ? { sequence: 0, previous: hexOf(mesh.networkId) }
      : { sequence: tip.sequence + 1, previous: tip.id };
  }
}

function dealBetween(
  payer: Log,
  payee: Log,
  { mesh, write }: { mesh: LedgerMesh; write: (log: Log, body: EntryBody) => Entry },
): void {
  const gift = write(payer, { kind: 'transfer', to: payee.id, amount: 5n, memo: '' });
  write(payee, { kind: 'accept', transfer: nameOf(gift) });
  const hold = nameOf(write(payer, { kind: 'hold', legs: [{ payee: payee.id, max: 1_000n }] }));
  const claim = (cumulative: bigint, last: boolean) => {
    const voucher = { hold, leg: 0, cumulative, receiptHash: sha256(`${hold.id} ${cumulative}`) };
    const voucherSignature = signVoucher(mesh.networkId, payer.signer, voucher);
    return write(payee, { kind: 'claim', ...voucher, voucherSignature, last });
  };
  claim(300n, false);
  const last = claim(700n, true);
  write(payer, { kind: 'release', hold, leg: 0, rest: { claim: nameOf(last) } });
}

export function nameOf({ author, sequence, id }: EntryName): EntryName {
  return { author, sequence, id };
}

function sha256(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest());
}
