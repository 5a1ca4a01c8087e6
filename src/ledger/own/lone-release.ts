/**
 * Takes back what is left of a leg whose payee is gone (docs/ledger.md, "release alone"). It counts only when witnesses
 * attest it, and one that they do not attest stops the own chain: so a quorum of them is asked first, and no voucher of the leg is
 * given from then on.
 */

import { type Clock, every, type Timer } from '../../clock.ts';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { nodeIdOf } from '../../protocol/ids.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { OpenLeg } from '../books/state.ts';
import { type AccountId, type LedgerMesh, quorumOf } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { fromHex } from '../entries/fields.ts';
import type { LedgerStore, WitnessLink } from '../ports.ts';
import type { LedgerFlow } from '../views.ts';
import { nameOnWire } from './asking.ts';
import type { Author } from './author.ts';
import { OwnNotes } from './own-notes.ts';
import type { Vouchers } from './vouchers.ts';

export interface LoneReleaseOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  /** `credits.lone_release_secs`. */
  readonly loneReleaseMs: number;
}

export interface LoneReleaseDeps {
  readonly author: Pick<Author, 'state' | 'releaseAlone'>;
  readonly ingest: Pick<LedgerFlow, 'ledger'>;
  readonly store: Pick<LedgerStore, 'entry' | 'notes'>;
  readonly vouchers: Pick<Vouchers, 'close' | 'lastPromised' | 'mayHavePromised'>;
  readonly witness: WitnessLink;
  /** What this node itself says, when it is a witness. */
  readonly ownWitness?: Pick<WitnessLink, 'ask'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LoneRelease {
  readonly #options: LoneReleaseOptions;
  readonly #deps: LoneReleaseDeps;
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  readonly #end = new AbortController();

  constructor(options: LoneReleaseOptions, deps: LoneReleaseDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    const { clock, log } = this.#deps;
    const everyMs = Math.min(LEDGER.loneReleaseEveryMs, this.#options.loneReleaseMs / LEDGER.loneReleasePart);
    this.#timer = every(clock, Math.max(1_000, everyMs), () => {
      this.#round ??= this.#look()
        .catch((thrown: unknown) => log.warn({ error: toGoGridError(thrown) }, 'no rest could be taken back'))
        .finally(() => {
          this.#round = undefined;
        });
    });
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#end.abort(new GoGridError({ code: 'shutting_down', message: 'the node stops' }));
    await this.#round;
  }

  async #look(): Promise<void> {
    const { author, ingest, store } = this.#deps;
    const { self } = this.#options;
    if (author.state().state !== 'ready') return;
    // After a backup was restored nobody here knows what was promised of these holds.
    const restored = (await new OwnNotes(self, store.notes).restoredUpTo()) ?? -1;
    for (const leg of ingest.ledger.openLegsOf(self)) {
      if (this.#end.signal.aborted) return;
      if (leg.hold.sequence > restored && (await this.#isDue(leg))) await this.#release(leg);
    }
  }

  /** The hold is old enough, its payee has not closed it, and no job has used it for as long. */
  async #isDue({ hold, leg, closedBy, givenBack, cap }: OpenLeg): Promise<boolean> {
    if (closedBy !== undefined || givenBack > 0n || cap !== undefined) return false;
    const before = this.#deps.clock.now() - this.#options.loneReleaseMs;
    const promised = this.#deps.vouchers.lastPromised(hold, leg);
    if (promised !== undefined && promised > before) return false;
    const sealed = await this.#deps.store.entry(hold);
    return sealed !== undefined && openEntry(sealed, this.#options.mesh, { trusted: true }).timestamp <= before;
  }

  async #release({ hold, leg, max }: OpenLeg): Promise<void> {
    const { author, vouchers, log } = this.#deps;
    const may = vouchers.mayHavePromised(hold, leg);
    if (may >= max || !(await this.#witnessesAgree({ hold, leg }, may))) return;
    const cumulative = await vouchers.close(hold, leg);
    // Something was promised while the witnesses were asked: they are asked again, for what is left.
    if (cumulative !== may && !(await this.#witnessesAgree({ hold, leg }, cumulative))) return;
    await author.releaseAlone(hold, leg, cumulative);
    log.info({ sequence: hold.sequence, leg }, 'the rest of a hold was taken back: its payee is gone');
  }

  /** Whether a quorum of witnesses would attest it now. */
  async #witnessesAgree({ hold, leg }: Pick<OpenLeg, 'hold' | 'leg'>, cumulative: bigint): Promise<boolean> {
    const { mesh } = this.#options;
    const ask = {
      type: 'may-release' as const,
      hold: nameOnWire(hold.author, hold.sequence, hold.id),
      leg,
      cumulative,
    };
    const answers = await Promise.all(mesh.witnesses.map((id) => this.#ask(id, ask)));
    return answers.filter((answer) => answer?.type === 'may-release' && answer.inSecs === 0).length >= quorumOf(mesh);
  }

  async #ask(id: AccountId, ask: Parameters<WitnessLink['ask']>[1]) {
    const { witness, ownWitness, clock } = this.#deps;
    const link = id === this.#options.self ? ownWitness : witness;
    const late = new AbortController();
    const tooLate = new GoGridError({ code: 'peer_unreachable', message: 'the witness did not answer in time' });
    const timer = clock.after(LEDGER.requestTimeoutMs, () => late.abort(tooLate));
    try {
      return await link?.ask(nodeIdOf(fromHex(id)), ask, AbortSignal.any([late.signal, this.#end.signal]));
    } catch {
      return undefined;
    } finally {
      timer.cancel();
    }
  }
}
