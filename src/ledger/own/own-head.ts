/**
 * Where the own log ends, asked after a start (docs/ledger.md, "Starting, and restoring a backup"): whoever runs on a restored
 * backup has written entries that it does not know, and would fork its own log with the next one. So it asks three peers and
 * the witnesses, and goes on behind the newest entry that anybody has.
 */

import type { Clock, Timer } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { type NodeId, nodeIdOf } from '../../protocol/ids.ts';
import type { AccountId, Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import { fromHex } from '../entries/fields.ts';

/** Who can be asked, and how. */
export interface HeadDeps {
  /** Admitted peers that are connected and speak the ledger's protocol. */
  readonly peers: () => readonly NodeId[];
  /** The newest entries of an account that a peer has, none when it has none; their chain has been taken in when it resolves. */
  readonly head: (peer: NodeId, author: AccountId, signal: AbortSignal) => Promise<readonly Entry[]>;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/** One round of asking. */
export interface HeadRound {
  /** How many answered. Nobody did: nothing is known. */
  readonly answers: number;
  readonly heads: readonly EntryName[];
}

/**
 * Asks up to `LEDGER.askHeadOf` peers and every witness at once, and waits at most `LEDGER.askHeadMs` for them.
 * Never throws: who does not answer is not counted.
 * @param signal ends it early
 */
export async function askHead(
  { witnesses }: Pick<LedgerMesh, 'witnesses'>,
  self: AccountId,
  { peers, head, clock, random }: HeadDeps,
  signal: AbortSignal,
): Promise<HeadRound> {
  const ownNode = nodeIdOf(fromHex(self));
  const drawn = draw(peers(), LEDGER.askHeadOf, random);
  const asked = new Set([...drawn, ...witnesses.map((id) => nodeIdOf(fromHex(id)))]);
  asked.delete(ownNode);
  const late = new AbortController();
  const outOfTime = Promise.withResolvers<void>();
  const timer = clock.after(LEDGER.askHeadMs, () => {
    late.abort(new GoGridError({ code: 'peer_unreachable', message: 'the peer did not answer in time' }));
    outOfTime.resolve();
  });
  const onEnd = () => {
    late.abort(signal.reason);
    outOfTime.resolve();
  };
  if (signal.aborted) onEnd();
  signal.addEventListener('abort', onEnd, { once: true });
  const heads: EntryName[] = [];
  let answers = 0;
  const asking = [...asked].map(async (peer) => {
    try {
      const found = await head(peer, self, late.signal);
      // What comes later than the wait was not waited for.
      if (late.signal.aborted) return;
      heads.push(...found);
      answers++;
    } catch {
      // It is out of reach, or does not answer: the others say it.
    }
  });
  await Promise.race([Promise.all(asking), outOfTime.promise]);
  timer.cancel();
  signal.removeEventListener('abort', onEnd);
  late.abort(new GoGridError({ code: 'cancelled', message: 'where the log ends is known from the others' }));
  return { answers, heads };
}

/** `count` of them, drawn at random; all when there are not more. */
function draw<T>(all: readonly T[], count: number, random: () => number): T[] {
  const left = [...all];
  const drawn: T[] = [];
  while (drawn.length < count && left.length > 0) {
    drawn.push(...left.splice(Math.floor(random() * left.length), 1));
  }
  return drawn;
}

/** Waits for a time, or until somebody says that it is worth looking again. */
export class Nudge {
  readonly #clock: Clock;
  #wake: () => void = () => {};
  #nudged = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the wait of now, or makes the next one end at once. */
  nudge(): void {
    this.#nudged = true;
    this.#wake();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#nudged) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer: Timer = this.#clock.after(ms, resolve);
      this.#wake = resolve;
      await promise;
      timer.cancel();
      this.#wake = () => {};
    }
    this.#nudged = false;
  }
}
