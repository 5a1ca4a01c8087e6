/** A witness that does what docs/ledger.md says, over the naive fold of what it has heard. */

import type { AccountId, Attestation, Entry, EntryId, LedgerMesh } from '../../ledger/entries/entry.ts';
import { attest, hex } from './authors.ts';
import type { NaiveLedger } from './naive.ts';

/** What a witness waits before it attests a release alone, and has to have run since it started. */
const LONE_RELEASE_DAYS = 7;
const RUN_DAYS = 1;

export class HonestWitness {
  readonly name: string;
  readonly #mesh: LedgerMesh;
  /** The one id it attested at a place. */
  readonly #votes = new Map<string, EntryId>();
  readonly #days = new Map<EntryId, number>();
  readonly #entries = new Map<EntryId, Entry>();
  #startedOn = 0;

  constructor(mesh: LedgerMesh, name: string) {
    this.#mesh = mesh;
    this.name = name;
  }

  /** It keeps what it attested and forgets how long it ran. */
  restart(day: number): void {
    this.#startedOn = day;
  }

  /** Attests all it may of all chains. */
  attest(view: NaiveLedger, day: number): Attestation[] {
    const made: Attestation[] = [];
    for (const author of new Set([...view.taken.values()].map((entry) => entry.author))) {
      made.push(...this.#goAlong(author, view, day));
    }
    return made;
  }

  #goAlong(author: AccountId, view: NaiveLedger, day: number): Attestation[] {
    const made: Attestation[] = [];
    let where = hex(this.#mesh.networkId);
    for (;;) {
      const follow = [...view.taken.values()].filter((entry) => entry.author === author && entry.previous === where);
      const next = this.#nextOf(follow, view);
      if (next === undefined) return made;
      if (!this.#votes.has(placeOf(next))) {
        if (!this.#mayAttest(next, day)) return made;
        made.push(attest(this.#mesh, this.name, next, this.#isLate(next), false));
        this.#votes.set(placeOf(next), next.id);
        this.#days.set(next.id, day);
        this.#entries.set(next.id, next);
      }
      where = next.id;
    }
  }

  /** The branch that a certificate picked, else the one it attested, else the only one if the place is free. */
  #nextOf(follow: readonly Entry[], view: NaiveLedger): Entry | undefined {
    const certified = follow.filter(({ id }) => view.covered.has(id));
    if (certified.length > 0) return certified.length === 1 ? certified[0] : undefined;
    const attested = follow.find((entry) => this.#votes.get(placeOf(entry)) === entry.id);
    if (attested !== undefined) return attested;
    const [only, ...others] = follow;
    return only === undefined || others.length > 0 || this.#votes.has(placeOf(only)) ? undefined : only;
  }

  #mayAttest({ body }: Entry, day: number): boolean {
    if (body.kind !== 'release' || !('alone' in body.rest)) return true;
    const attestedOn = this.#days.get(body.hold.id);
    if (attestedOn === undefined || day - attestedOn < LONE_RELEASE_DAYS || day - this.#startedOn < RUN_DAYS) {
      return false;
    }
    const { alone } = body.rest;
    return ![...this.#entries.values()].some(
      (entry) => isOfLeg(entry, body.hold.id, body.leg) && cumulativeOf(entry) > alone,
    );
  }

  #isLate(claim: Entry): boolean {
    const { body } = claim;
    if (body.kind !== 'claim') return false;
    return [...this.#entries.values()].some(
      (entry) =>
        entry.body.kind === 'release' &&
        'alone' in entry.body.rest &&
        isOfLeg(entry, body.hold.id, body.leg) &&
        entry.body.rest.alone < body.cumulative,
    );
  }
}

function placeOf({ author, sequence }: Entry): string {
  return `${author}/${sequence}`;
}

function isOfLeg({ body }: Entry, hold: EntryId, leg: number): boolean {
  return (body.kind === 'claim' || body.kind === 'release') && body.hold.id === hold && body.leg === leg;
}

function cumulativeOf({ body }: Entry): bigint {
  return body.kind === 'claim' ? body.cumulative : 0n;
}
