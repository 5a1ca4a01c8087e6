/**
 * The checks that an entry passes before the ledger looks at it, cheapest first, and whom each is charged to: what its author
 * alone can make is the author's, what anybody can repeat is the peer's who brings it.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { Ledger } from '../books/ledger.ts';
import { type AccountId, type Entry, type LedgerMesh, quorumOf } from '../entries/entry.ts';
import type { Checked, Unchecked } from './checked.ts';
import type { IngestRates } from './ingest-rates.ts';
import type { Round } from './round.ts';
import type { Waiting } from './waiting.ts';

export interface EntryChecksDeps {
  readonly ledger: () => Ledger;
  readonly waiting: Pick<Waiting, 'find' | 'countOf' | 'certifiedOf'>;
  readonly checked: Checked;
  readonly rates: IngestRates;
}

/** `fits`: its signature stands, and the ledger may have it. `limited`: it was not looked at, now is not the time. */
export type Fitting = 'fits' | 'known' | 'limited' | 'bad';

export class EntryChecks {
  readonly #mesh: LedgerMesh;
  readonly #deps: EntryChecksDeps;

  constructor(mesh: LedgerMesh, deps: EntryChecksDeps) {
    this.#mesh = mesh;
    this.#deps = deps;
  }

  check({ sealed, value: entry }: Unchecked<Entry>, round: Round): Fitting {
    if (entry === undefined) return 'bad';
    if (this.isKnown(entry)) return 'known';
    const { checked, rates } = this.#deps;
    const isOld = this.#isOld(entry);
    // Of a final place everybody has the entries: who brings them again must not use up what their author may write.
    if (isOld && round.from !== undefined && !rates.mayBringOld(round.from)) return 'limited';
    const newKeys = checked.has(sealed) ? [] : this.#newKeysOf(entry);
    if (!this.#mayShow(newKeys, round)) return 'limited';
    if (!checked.isEntrySigned(entry)) return 'bad';
    for (const key of newKeys) rates.onShown(key);
    return isOld || this.#mayWrite(entry) ? 'fits' : 'limited';
  }

  /** On another thread, what will have to be checked; a new key is left for its turn, when it is known who showed it. */
  ahead({ value: entry }: Unchecked<Entry>): Promise<void> | undefined {
    return entry === undefined || this.isKnown(entry) || this.#newKeysOf(entry).length > 0
      ? undefined
      : this.#deps.checked.entryAhead(entry);
  }

  /**
   * Whether it is in memory, and so nothing new. The same id with other bytes is another signature, which nobody has checked;
   * and what waits at a place that has become final meanwhile is to be compared with what is there.
   */
  isKnown(entry: Entry): boolean {
    const { ledger, waiting } = this.#deps;
    const { id, sealed } = entry;
    const here = ledger().find(id) ?? (this.#isOld(entry) ? undefined : waiting.find(id));
    return here !== undefined && Buffer.compare(here.sealed, sealed) === 0;
  }

  #isOld({ author, sequence }: Entry): boolean {
    return sequence <= (this.#deps.ledger().finalTip(author)?.sequence ?? -1);
  }

  /** Keys whose first check takes as long as thirty signatures: the author's, and the payer's whose voucher a claim has. */
  #newKeysOf({ author, body }: Entry): AccountId[] {
    const keys = body.kind === 'claim' && body.cumulative > 0n ? [author, body.hold.author] : [author];
    const { waiting, rates } = this.#deps;
    return keys.filter((key) => this.#isNewAuthor(key) && waiting.countOf(key) === 0 && !rates.hasShown(key));
  }

  #mayShow(newKeys: readonly AccountId[], round: Round): boolean {
    const { from, hinted } = round;
    if (from === undefined) return true;
    for (const _key of newKeys) {
      if (hinted && ++round.newKeys > LEDGER.maxNewKeysPerHint) return false;
      if (!this.#deps.rates.mayShowKey(from)) return false;
    }
    return true;
  }

  #isNewAuthor(author: AccountId): boolean {
    const ledger = this.#deps.ledger();
    return (
      author !== this.#mesh.founder && ledger.finalTip(author) === undefined && ledger.children(author).length === 0
    );
  }

  #mayWrite({ author, sequence }: Entry): boolean {
    const { ledger, waiting, rates } = this.#deps;
    const mayBegin = sequence > 0 || !this.#isNewAuthor(author) || rates.mayBegin();
    const hasRoom = ledger().tailSize(author) < LEDGER.maxTailPerAuthor;
    if (mayBegin && hasRoom && rates.mayWrite(author)) return true;
    // What witnesses have certified went through their rates: a node that was away for months need not wait for it.
    return sequence <= waiting.certifiedOf(author, quorumOf(this.#mesh));
  }
}
