/** What witnesses said of an entry, counted: certificates, and whether they are timely. */

import { LEDGER } from '../../limits/ledger.ts';
import type { AccountId, Attestation, EntryId, EntryName } from '../entries/entry.ts';
import type { Chain, Link } from './chains.ts';

/** Whether a witness already said just this. One that says both of `late` has said both. */
export function hasVote(votes: readonly Attestation[], { witness, late }: Attestation): boolean {
  return votes.some((vote) => vote.witness === witness && vote.late === late);
}

export function countWitnesses(votes: readonly Attestation[]): number {
  return new Set(votes.map(({ witness }) => witness)).size;
}

/** Those that do not call the claim late. */
export function countTimely(votes: readonly Attestation[]): number {
  // A witness is among these once: votes differ in witness or in `late`.
  return votes.filter(({ late }) => !late).length;
}

/**
 * Attestations that make certificates in this chain, by place from a sequence on: those of claims, which decide whether they are
 * timely, those of the newest certified place, which covers all before it, and those of what does not stand all the same.
 */
export function certificatesOf(chain: Chain, from: number, quorum: number): Attestation[] {
  const certified: Link[] = [];
  for (const link of chain.links()) {
    if (link.sequence >= from && countWitnesses(link.votes ?? []) >= quorum) certified.push(link);
  }
  certified.sort((a, b) => a.sequence - b.sequence);
  const newest = certified.findLast(({ stands }) => stands);
  return certified
    .filter((link) => link === newest || !link.stands || link.entry.body.kind === 'claim')
    .flatMap(({ votes }) => votes ?? []);
}

/** What a witness attested last of each author's tail, by author. @param after only of authors behind this one */
export function* newestVotesOf(
  witness: AccountId,
  chains: Iterable<Chain>,
  after: AccountId = '',
): Generator<Attestation> {
  const behind = [...chains].filter(({ author, size }) => size > 0 && author > after);
  behind.sort((a, b) => (a.author < b.author ? -1 : 1));
  for (const chain of behind) {
    let newest: Attestation | undefined;
    for (const { votes = [], sequence } of chain.links()) {
      if (newest !== undefined && newest.sequence >= sequence) continue;
      newest = votes.find((vote) => vote.witness === witness) ?? newest;
    }
    if (newest !== undefined) yield newest;
  }
}

/** Entries that witnesses speak of and that are not here; those with a certificate are wanted. */
export class Wanted {
  readonly #quorum: number;
  readonly #spoken = new Map<EntryId, { readonly name: EntryName; readonly witnesses: Set<AccountId> }>();

  constructor(quorum: number) {
    this.#quorum = quorum;
  }

  hear({ author, sequence, id, witness }: Attestation): void {
    const known = this.#spoken.get(id);
    if (known !== undefined) {
      known.witnesses.add(witness);
      return;
    }
    const oldest = this.#spoken.size >= LEDGER.maxWaitingAttestations ? this.#spoken.keys().next().value : undefined;
    if (oldest !== undefined) this.#spoken.delete(oldest);
    this.#spoken.set(id, { name: { author, sequence, id }, witnesses: new Set([witness]) });
  }

  has(id: EntryId): boolean {
    return (this.#spoken.get(id)?.witnesses.size ?? 0) >= this.#quorum;
  }

  /** Who spoke of it. */
  witnessesOf(id: EntryId): ReadonlySet<AccountId> | undefined {
    return this.#spoken.get(id)?.witnesses;
  }

  drop(id: EntryId): void {
    this.#spoken.delete(id);
  }

  names(): EntryName[] {
    return [...this.#spoken.values()].filter(({ witnesses }) => witnesses.size >= this.#quorum).map(({ name }) => name);
  }
}
