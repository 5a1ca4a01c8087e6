/**
 * One peer during one sync: its questions are counted, each answer has its time, and what it sends is weighed. Whatever it does,
 * answers that bring nothing, things that do not stand, no answer at all, ends the sync after a bounded cost.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { LEDGER_ANSWERS, type LedgerAnswer, type LedgerAsk } from '../../protocol/ledger.ts';
import type { Buckets } from '../intake/buckets.ts';
import type { Ingest, Page, PageOutcome } from '../intake/ingest.ts';
import type { LedgerLink, LedgerSession } from '../ports.ts';

type AnswerTo<Type extends LedgerAsk['type']> = Extract<LedgerAnswer, { type: (typeof LEDGER_ANSWERS)[Type] }>;

export interface PeerSessionDeps {
  readonly ingest: Ingest;
  readonly link: Pick<LedgerLink, 'open' | 'onViolation'>;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  /** How fast each peer may be asked: below what it answers. */
  readonly pace: Pick<Buckets<NodeId>, 'take'>;
}

/** Why a sync ended before both sides agreed, though nobody did wrong: the rest comes next time. */
export class EndOfTurn extends Error {}

export class PeerSession {
  readonly peer: NodeId;
  readonly #deps: PeerSessionDeps;
  readonly #session: LedgerSession;
  readonly #signal: AbortSignal;
  readonly #until: number;
  #rounds = 0;
  #fruitless = 0;
  taken = 0;
  bad = 0;
  /** When something new came last, by `clock.elapsed()`. */
  progressAt: number;

  /** @throws GoGridError `peer_unreachable`, or what `signal` was aborted with */
  static async open(peer: NodeId, signal: AbortSignal, deps: PeerSessionDeps): Promise<PeerSession> {
    const session = await inTime(deps.link.open(peer, signal), signal, deps.clock, (late) => late.close());
    return new PeerSession(peer, session, signal, deps);
  }

  private constructor(peer: NodeId, session: LedgerSession, signal: AbortSignal, deps: PeerSessionDeps) {
    this.peer = peer;
    this.#deps = deps;
    this.#session = session;
    this.#signal = signal;
    this.progressAt = deps.clock.elapsed();
    this.#until = this.progressAt + LEDGER.syncTurnMs;
  }

  /** @throws GoGridError what the stream throws; EndOfTurn when the peer has used up what one sync may cost */
  async ask<Type extends LedgerAsk['type']>(question: LedgerAsk & { readonly type: Type }): Promise<AnswerTo<Type>> {
    const { clock } = this.#deps;
    if (++this.#rounds > LEDGER.maxSyncRounds || clock.elapsed() > this.#until) throw new EndOfTurn();
    while (!this.#deps.pace.take(this.peer)) {
      const later = new Promise<void>((resolve) => clock.after(LEDGER.askAgainMs, resolve));
      await inTime(later, this.#signal, clock);
    }
    const answer = await inTime(this.#session.ask(question), this.#signal, clock);
    if (answer.type !== LEDGER_ANSWERS[question.type])
      this.fail(`'${question.type}' was answered with '${answer.type}'`);
    return answer as AnswerTo<Type>;
  }

  /**
   * Takes in what the peer has answered.
   * @param leadsOn it goes towards what is not here, though it may all be known: a branch that parts after a long way together
   * @throws GoGridError `protocol_violation`; EndOfTurn
   */
  async take(page: Page, leadsOn = false): Promise<PageOutcome> {
    const { ingest, link, clock } = this.#deps;
    const outcome = await ingest.take(page, this.peer);
    this.#signal.throwIfAborted();
    this.taken += outcome.taken;
    for (let count = 0; count < outcome.bad; count++)
      link.onViolation(this.peer, 'a part of a ledger that does not stand');
    this.bad += outcome.bad;
    if (this.bad > LEDGER.maxBadPerSync) throw violation('too much of a ledger does not stand');
    // What waits may wait for what there never was: it is no reason for others to stand back.
    if (outcome.taken > 0) this.progressAt = clock.elapsed();
    if (outcome.taken + outcome.waiting > 0 || (leadsOn && outcome.known > 0)) this.#fruitless = 0;
    else if (++this.#fruitless >= LEDGER.maxFruitless) {
      // It ends what it was asked for; what comes behind begins anew.
      this.#fruitless = 0;
      throw new EndOfTurn();
    }
    return outcome;
  }

  /** The peer said what no honest node says. */
  fail(message: string): never {
    this.#deps.link.onViolation(this.peer, message);
    throw violation(message);
  }

  close(): void {
    this.#session.close();
  }
}

/** What `promise` settles to, within the time of a request. @param tooLate with what comes after nobody waits any more */
async function inTime<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  clock: Pick<Clock, 'after'>,
  tooLate: (value: T) => void = () => {},
): Promise<T> {
  signal.throwIfAborted();
  const ended = Promise.withResolvers<never>();
  const onAbort = () => ended.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const silent = new GoGridError({ code: 'peer_unreachable', message: 'the peer did not answer in time' });
  const timer = clock.after(LEDGER.requestTimeoutMs, () => ended.reject(silent));
  let isOver = false;
  promise.then((value) => isOver && tooLate(value)).catch(() => {});
  try {
    return await Promise.race([promise, ended.promise]);
  } finally {
    isOver = true;
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
