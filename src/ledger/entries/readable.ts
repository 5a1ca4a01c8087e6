/** Entries and attestations as people and programs read them: keys as PeerIds, ids in hex, amounts as decimal texts. */

import { type NodeId, nodeIdOf, publicKeyOf } from '../../protocol/ids.ts';
import type { AccountId, Attestation, Entry, EntryBody, EntryName } from './entry.ts';
import { fromHex, hexOf } from './fields.ts';

/** An account as the PeerId of its key. */
export function accountText(account: AccountId): NodeId {
  return nodeIdOf(fromHex(account));
}

/** @throws GoGridError `protocol_violation` when it is not the PeerId of an Ed25519 key */
export function accountIn(text: NodeId): AccountId {
  return hexOf(publicKeyOf(text));
}

export interface ReadableName {
  readonly author: string;
  readonly sequence: number;
  readonly id: string;
}

export function readableName({ author, sequence, id }: EntryName): ReadableName {
  return { author: accountText(author), sequence, id };
}

/** In a fixed order of fields: two programs that render one entry write the same text. */
export function readableEntry(entry: Entry) {
  return {
    entry: hexOf(entry.sealed),
    ...readableName(entry),
    kind: entry.body.kind,
    at: entry.timestamp,
    previous: entry.previous,
    ...readableBody(entry.body),
  };
}

function readableBody(body: EntryBody) {
  switch (body.kind) {
    case 'transfer':
      return { to: accountText(body.to), amountMicrocredits: String(body.amount), memo: body.memo };
    case 'accept':
      return { transfer: readableName(body.transfer) };
    case 'hold':
      return {
        legs: body.legs.map(({ payee, max }) => ({ payee: accountText(payee), maxMicrocredits: String(max) })),
      };
    case 'claim':
      return {
        hold: readableName(body.hold),
        leg: body.leg,
        cumulativeMicrocredits: String(body.cumulative),
        receiptHash: hexOf(body.receiptHash),
        last: body.last,
      };
    case 'release': {
      const { hold, leg, rest } = body;
      const of = { hold: readableName(hold), leg };
      return 'claim' in rest
        ? { ...of, claim: readableName(rest.claim) }
        : { ...of, cumulativeMicrocredits: String(rest.alone) };
    }
  }
}

export function readableAttestation(attestation: Attestation) {
  return {
    attestation: hexOf(attestation.sealed),
    witness: accountText(attestation.witness),
    ...readableName(attestation),
    late: attestation.late,
  };
}
