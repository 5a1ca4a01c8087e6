/**
 * Asks the witnesses for what they have not said of the own log: they attest in the background what they hear of, and whoever
 * is not heard waits. An own tip that is not certified after `LEDGER.askWitnessAfterMs` is asked for, then less and less often.
 */

import type { Clock, Timer } from '../../clock.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { nodeIdOf } from '../../protocol/ids.ts';
import type { AccountId, Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import { fromHex } from '../entries/fields.ts';
import type { WitnessLink } from '../ports.ts';
import type { LedgerFlow, LedgerView } from '../views.ts';

export interface WitnessAskerOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
}

export interface WitnessAskerDeps {
  readonly ingest: Pick<LedgerFlow, 'ledger' | 'onTaken'> & {
    take(page: { readonly attestations: readonly Uint8Array[] }, from: string): Promise<unknown>;
  };
  readonly witness: WitnessLink;
  readonly clock: Clock;
}

export class WitnessAsker {
  readonly #options: WitnessAskerOptions;
  readonly #deps: WitnessAskerDeps;
  #timer: Timer | undefined;
  /** `Clock.elapsed()` of it. */
  #timerAt = 0;
  #waitMs: number = LEDGER.askWitnessAfterMs;
  #asking: Promise<void> | undefined;
  readonly #end = new AbortController();
  #unlisten = () => {};

  constructor(options: WitnessAskerOptions, deps: WitnessAskerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    const { self } = this.#options;
    this.#unlisten = this.#deps.ingest.onTaken(({ entries }) => {
      if (!entries.some(({ author }) => author === self)) return;
      // A new entry is new hope: it is asked for soon, however long the one before waits.
      this.#waitMs = LEDGER.askWitnessAfterMs;
      this.#schedule();
    });
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#timer?.cancel();
    this.#end.abort();
    await this.#asking;
  }

  #schedule(): void {
    const { clock } = this.#deps;
    const at = clock.elapsed() + this.#waitMs;
    if (this.#end.signal.aborted || (this.#timer !== undefined && this.#timerAt <= at)) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = clock.after(this.#waitMs, () => {
      this.#timer = undefined;
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
    });
  }

  async #ask(): Promise<void> {
    const { mesh, self } = this.#options;
    const names = uncertified(self, this.#deps.ingest.ledger);
    if (names.length === 0) return;
    await Promise.all(mesh.witnesses.filter((id) => id !== self).map((id) => this.#askOne(id, names)));
    if (uncertified(self, this.#deps.ingest.ledger).length === 0) return;
    this.#waitMs = Math.min(2 * this.#waitMs, LEDGER.askWitnessAgainMaxMs);
    this.#schedule();
  }

  /** Never throws: who does not answer is asked again. */
  async #askOne(id: AccountId, names: readonly EntryName[]): Promise<void> {
    const { witness, ingest, clock } = this.#deps;
    const node = nodeIdOf(fromHex(id));
    const late = new AbortController();
    const timer = clock.after(LEDGER.requestTimeoutMs, () => late.abort());
    const signal = AbortSignal.any([late.signal, this.#end.signal]);
    try {
      const wire = names.map(({ author, sequence, id: entry }) => nameOnWire(author, sequence, entry));
      const answer = await witness.ask(node, { type: 'attest', names: wire }, signal);
      if (answer.type === 'attestations') await ingest.take({ attestations: answer.attestations }, node);
    } catch {
      // It is out of reach or busy; the certificate needs a quorum, not everybody.
    } finally {
      timer.cancel();
    }
  }
}

/** A name as the wire has it, in arrays of its own. */
export function nameOnWire(
  author: string,
  sequence: number,
  id: string,
): [Uint8Array<ArrayBuffer>, number, Uint8Array<ArrayBuffer>] {
  return [Uint8Array.from(fromHex(author)), sequence, Uint8Array.from(fromHex(id))];
}

/** The own tip, and the claims before it, as long as it has no certificate: a claim needs one of its own place. */
function uncertified(self: AccountId, ledger: LedgerView): EntryName[] {
  const tip = ledger.tip(self);
  if (tip === undefined || ledger.status(tip) !== 'stands') return [];
  const names: EntryName[] = [tip];
  let entry: Entry | undefined = ledger.find(tip.id);
  while (entry !== undefined && names.length < LEDGER.maxAsked) {
    entry = ledger.find(entry.previous);
    if (entry?.body.kind === 'claim' && ledger.status(entry) === 'stands') names.push(entry);
  }
  return names;
}
