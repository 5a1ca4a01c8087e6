/** A witness that signs whatever helps to spend twice: both sides of a fork, to each side its own, late or not as it likes. */

import { sealAttestation } from '../../ledger/entries/attestation.ts';
import type { Entry, EntryName, LedgerMesh } from '../../ledger/entries/entry.ts';
import { hexOf } from '../../ledger/entries/fields.ts';
import type { News } from '../../ledger/intake/ingest.ts';
import { nameOnly } from '../../ledger/views.ts';
import { encode } from '../../protocol/cbor.ts';
import type { WitnessAnswer, WitnessAsk } from '../../protocol/ledger.ts';
import { idOf } from '../sim/keys.ts';
import type { Random } from '../sim/random.ts';
import { accountSigner } from './accounts.ts';
import type { SimMesh } from './mesh.ts';
import type { Plan } from './plan.ts';

export interface LiarParts {
  readonly place: number;
  readonly plan: Plan;
  readonly mesh: LedgerMesh;
  readonly links: SimMesh;
  readonly random: Random;
}

export class Liar {
  readonly #parts: LiarParts;
  /** Whether it tells all of a fork to everybody, or to each a part. */
  readonly #splits: boolean;

  constructor(parts: LiarParts) {
    this.#parts = parts;
    this.#splits = parts.random.chance(0.5);
  }

  /** It hears of entries, and of both sides of forks. */
  hears({ entries, forks }: News): void {
    for (const entry of new Set([...entries, ...forks.flat()])) {
      if (this.#parts.random.chance(0.9)) this.#attest(entry);
    }
  }

  async answer(ask: WitnessAsk): Promise<WitnessAnswer> {
    if (ask.type === 'may-release') return { type: 'may-release', inSecs: 0 };
    const names = ask.names.map(([author, sequence, id]) => ({ author: hexOf(author), sequence, id: hexOf(id) }));
    return { type: 'attestations', attestations: names.map((name) => this.#sign(name, false)) };
  }

  #attest(entry: Entry): void {
    const { links, plan, place, random } = this.#parts;
    const late = random.chance(entry.body.kind === 'claim' ? 0.3 : 0.02);
    const both = random.chance(0.1) ? [late, !late] : [late];
    const hint = encode([[], both.map((flag) => this.#sign(nameOnly(entry), flag))]);
    plan.nodes.forEach((_, node) => {
      if (node !== place && !(this.#splits && random.chance(0.5))) links.slip(hint, node, idOf(place));
    });
  }

  #sign(name: EntryName, late: boolean): Uint8Array<ArrayBuffer> {
    const { mesh, place } = this.#parts;
    return new Uint8Array(sealAttestation(mesh, accountSigner(place), name, late).sealed);
  }
}
