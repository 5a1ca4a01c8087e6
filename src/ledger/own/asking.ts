/**
 * Asks the witnesses for what they have not said: they attest in the background what they hear of, and whoever is not heard, or
 * did not hear them, waits. A sync passes only certificates on, so a vote whose hint was lost comes this way alone. What the
 * own money rests on, and forks that nobody decided, are asked for after `LEDGER.askWitnessAfterMs`, then less and less often.
 */

import type { Clock, Timer } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { nodeIdOf } from '../../protocol/ids.ts';
import { type AccountId, type EntryId, type EntryName, type LedgerMesh, quorumOf } from '../entries/entry.ts';
import { fromHex } from '../entries/fields.ts';
import type { WitnessLink } from '../ports.ts';
import type { LedgerFlow } from '../views.ts';
import { unsettled } from './unsettled.ts';

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

/** An entry that is asked for until it is settled. */
interface Wanted {
  readonly name: EntryName;
  /** By `Clock.elapsed()`. */
  readonly dueAt: number;
  readonly waitMs: number;
  readonly maxWaitMs: number;
}

export class WitnessAsker {
  readonly #options: WitnessAskerOptions;
  readonly #deps: WitnessAskerDeps;
  #wanted = new Map<EntryId, Wanted>();
  /** `Clock.elapsed()` of the first news since the last look. */
  #newsAt: number | undefined;
  #timer: Timer | undefined;
  /** `Clock.elapsed()` of the timer. */
  #timerAt = 0;
  #asking: Promise<void> | undefined;
  readonly #end = new AbortController();
  #unlisten = () => {};

  constructor(options: WitnessAskerOptions, deps: WitnessAskerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    this.#unlisten = this.#deps.ingest.onTaken(() => this.#onNews());
    this.#onNews();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#timer?.cancel();
    this.#end.abort(new GoGridError({ code: 'shutting_down', message: 'the node stops' }));
    await this.#asking;
  }

  #onNews(): void {
    this.#newsAt ??= this.#deps.clock.elapsed();
    this.#schedule(LEDGER.askWitnessEveryMs);
  }

  #schedule(ms: number): void {
    const { clock } = this.#deps;
    const at = clock.elapsed() + ms;
    if (this.#end.signal.aborted || (this.#timer !== undefined && this.#timerAt <= at)) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = clock.after(ms, () => {
      this.#timer = undefined;
      // A look that is under way looks again when it ends.
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
        this.#scheduleNext();
      });
    });
  }

  #scheduleNext(): void {
    const now = this.#deps.clock.elapsed();
    const dueAt =
      this.#newsAt === undefined ? Math.min(...[...this.#wanted.values()].map((wanted) => wanted.dueAt)) : now;
    if (dueAt !== Number.POSITIVE_INFINITY) this.#schedule(Math.max(LEDGER.askWitnessEveryMs, dueAt - now));
  }

  async #ask(): Promise<void> {
    const { mesh, self } = this.#options;
    this.#look();
    const now = this.#deps.clock.elapsed();
    const due = [...this.#wanted.values()].filter(({ dueAt }) => dueAt <= now).slice(0, LEDGER.maxAttestBatch);
    if (due.length === 0) return;
    for (const { name, waitMs, maxWaitMs } of due) {
      const next = Math.min(2 * waitMs, maxWaitMs);
      this.#wanted.set(name.id, { name, dueAt: now + next, waitMs: next, maxWaitMs });
    }
    const names = due.map(({ name }) => name);
    await Promise.all(mesh.witnesses.filter((id) => id !== self).map((id) => this.#askOne(id, names)));
  }

  /** What is wanted now; what was wanted before keeps its wait. */
  #look(): void {
    const { mesh, self } = this.#options;
    const { ingest, clock } = this.#deps;
    const since = this.#newsAt ?? clock.elapsed();
    this.#newsAt = undefined;
    const before = this.#wanted;
    this.#wanted = new Map();
    const want = (names: readonly EntryName[], firstAt: number, maxWaitMs: number) => {
      for (const name of names) {
        if (this.#wanted.size >= LEDGER.maxUnsettledSeen || this.#wanted.has(name.id)) continue;
        const { author, sequence, id } = name;
        const made = { name: { author, sequence, id }, dueAt: firstAt, waitMs: LEDGER.askWitnessAfterMs, maxWaitMs };
        this.#wanted.set(id, before.get(id) ?? made);
      }
    };
    const { rests, forks } = unsettled(self, quorumOf(mesh), ingest.ledger);
    const firstAt = since + LEDGER.askWitnessAfterMs;
    want(rests, firstAt, LEDGER.askWitnessAgainMaxMs);
    want(forks, firstAt + LEDGER.askForkSpreadMs * shareOf(self), LEDGER.askForkAgainMaxMs);
  }

  /** Never throws: who does not answer is asked again. */
  async #askOne(id: AccountId, names: readonly EntryName[]): Promise<void> {
    const { witness, ingest, clock } = this.#deps;
    const node = nodeIdOf(fromHex(id));
    const late = new AbortController();
    const tooLate = new GoGridError({ code: 'peer_unreachable', message: 'the witness did not answer in time' });
    const timer = clock.after(LEDGER.requestTimeoutMs, () => late.abort(tooLate));
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

/** 0 ≤ x < 1, another one for every account: nodes that hear of a fork together do not ask together. */
function shareOf(self: AccountId): number {
  return Number.parseInt(self.slice(0, 4), 16) / 0x1_0000;
}
