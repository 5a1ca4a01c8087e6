/** Finds out where the own log ends before anything is signed (docs/ledger.md, "Starting, and restoring a backup"). */

import { LEDGER } from '../../limits/ledger.ts';
import type { AccountId, EntryName, LedgerMesh } from '../entries/entry.ts';
import type { LedgerView } from '../views.ts';
import { askHead, type HeadDeps, type Nudge } from './own-head.ts';

export interface LogEndOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  /** The newest own entry on disk, also when its past is missing. */
  readonly onDisk: EntryName | undefined;
}

export interface LogEndDeps extends HeadDeps {
  readonly ledger: () => Pick<LedgerView, 'finalTip' | 'status'>;
  /** Peers came or went, or the node stops. */
  readonly nudge: Nudge;
  /** What it waits for, in a sentence. */
  readonly onWait: (reason: string) => void;
  /** Everything that anybody has is here. @returns whether that settled it */
  readonly decide: () => Promise<boolean>;
}

const NO_PEER = 'no peer is connected that could say which entry of this account is the newest';
export const NO_ANSWER = 'none of the peers has said yet which entry of this account is the newest';

/** Asks, round after round, until it is decided; resolves early when `signal` ends it. Never throws. */
export async function findLogEnd(options: LogEndOptions, deps: LogEndDeps, signal: AbortSignal): Promise<void> {
  const { nudge, onWait, decide } = deps;
  while (!signal.aborted) {
    if (deps.peers().length === 0) {
      onWait(NO_PEER);
    } else {
      const { answers, heads } = await askHead(options.mesh, options.self, deps, signal);
      if (signal.aborted) return;
      const open = answers === 0 ? NO_ANSWER : whatIsMissing(heads, options, deps);
      if (open !== undefined) onWait(open);
      else if (await decide()) return;
    }
    await nudge.wait(LEDGER.askHeadAgainMs);
  }
}

/** What of the own log somebody has, or the disk, and the ledger has not: it would be forked. */
function whatIsMissing(
  named: readonly EntryName[],
  { self, onDisk }: LogEndOptions,
  deps: LogEndDeps,
): string | undefined {
  const ledger = deps.ledger();
  const all = onDisk === undefined ? named : [...named, onDisk];
  const final = ledger.finalTip(self)?.sequence ?? -1;
  const missing = all.find((name) => name.sequence > final && ledger.status(name) === 'unknown');
  if (missing === undefined) return undefined;
  return `entry ${missing.sequence} of this account is known, and what stands before it is not here yet`;
}
