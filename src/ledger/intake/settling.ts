/**
 * What cannot be judged from memory: entries of places that are final already, and entries that name what only the disk may have.
 * The store is asked for them, one after the other, behind whoever brought them.
 */

import { toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Ledger } from '../books/ledger.ts';
import type { Entry, EntryId } from '../entries/entry.ts';
import type { LateForks } from './late-forks.ts';
import type { Item } from './place.ts';
import { Round } from './round.ts';
import type { StoreWriter } from './store-writer.ts';
import type { Waiting } from './waiting.ts';

export interface SettlingDeps {
  readonly ledger: () => Ledger;
  readonly waiting: Waiting;
  readonly writer: StoreWriter;
  readonly forks: LateForks;
  readonly log: Logger;
  readonly place: (item: Item, round: Round) => void;
  readonly tell: (round: Round) => void;
  /** An entry of a final place is kept, or was here all the time. */
  readonly onKept: (id: EntryId) => void;
}

export class Settling {
  readonly #deps: SettlingDeps;
  #last: Promise<void> = Promise.resolve();
  #count = 0;

  constructor(deps: SettlingDeps) {
    this.#deps = deps;
  }

  /** Resolves when all that was begun is done. */
  idle(): Promise<void> {
    return this.#last;
  }

  /** Does what a round left over. Never rejects; what is too much is let go, and comes again with the next sync. */
  settle(round: Round): Promise<void> {
    const count = round.old.length + round.buried.length;
    if (count === 0 || this.#count + count > LEDGER.maxOld) return Promise.resolve();
    this.#count += count;
    return this.run(() => this.#settle(round)).finally(() => {
      this.#count -= count;
    });
  }

  /** Does something behind all that was begun. Never rejects. */
  run(work: () => Promise<void>): Promise<void> {
    const { log } = this.#deps;
    this.#last = this.#last
      .then(work)
      .catch((thrown: unknown) => log.warn({ code: toGoGridError(thrown).code }, 'the ledger cannot be read'));
    return this.#last;
  }

  async #settle({ old, buried, from, hinted }: Round): Promise<void> {
    const { waiting, writer, forks, place, tell } = this.#deps;
    const round = new Round(from, hinted);
    // The store is asked for what may be on its way there.
    if (buried.length > 0) await writer.flushed();
    for (const entry of buried) {
      const dead = await forks.find(waiting.missingFor(entry.id));
      if (dead.length > 0) place({ entry, dead }, round);
      tell(round);
    }
    round.old.push(...old);
    for (let entry = round.old.shift(); entry !== undefined; entry = round.old.shift()) {
      // It has to know what is final before it can say whether an entry is another one.
      await writer.flushed();
      await this.#settleOld(entry, round);
      tell(round);
    }
  }

  async #settleOld(entry: Entry, round: Round): Promise<void> {
    const { ledger, waiting, writer, forks, place, onKept } = this.#deps;
    const judged = await forks.judge(ledger(), entry, waiting.isWanted(entry.id), (fork) => round.forks.push(fork));
    if (judged.result === 'waits') waiting.add(entry, judged.missing);
    if (judged.result === 'keep') writer.addEntry(entry);
    if (judged.result !== 'keep' && judged.result !== 'known') return;
    onKept(entry.id);
    const { entries, attestations } = waiting.release(entry.id);
    for (const waited of entries) place({ entry: waited, dead: [entry] }, round);
    for (const attestation of attestations) place({ attestation }, round);
  }
}
