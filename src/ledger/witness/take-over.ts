/**
 * What a witness does before it attests anything after a start: it takes over from others what its key has attested, for a
 * restored backup does not know. A sync brings what made certificates; the rest, which a sync leaves out, is asked for by its key.
 */

import type { Clock } from '../../clock.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { type NodeId, nodeIdOf } from '../../protocol/ids.ts';
import type { AccountId, Attestation, LedgerMesh } from '../entries/entry.ts';
import { fromHex } from '../entries/fields.ts';
import type { Nudge } from '../own/own-head.ts';

/** Whole when it neither failed nor was cut. */
interface Asked {
  readonly failed: unknown;
  readonly isCut: boolean;
}

/** How others are asked; `Sync` is it. Neither rejects. */
export interface TakeOverSync {
  with(peer: NodeId, signal?: AbortSignal): Promise<Asked>;
  /** What a peer has that a witness attested last of each chain, page by page, not checked. */
  votes(
    peer: NodeId,
    witness: AccountId,
    each: (votes: readonly Attestation[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<Asked>;
}

export interface TakeOverDeps {
  readonly link: { peers(): readonly NodeId[] };
  readonly sync: TakeOverSync;
  readonly clock: Clock;
  /** Peers came or went, or the node stops. */
  readonly nudge: Nudge;
  /** Takes over what stands of it. */
  readonly onVotes: (votes: readonly Attestation[]) => Promise<void>;
  /** Why it goes on waiting, in a sentence. */
  readonly onWait: (reason: string) => void;
}

/**
 * Asks until `LEDGER.witnessSyncsWith` peers have said all and every other witness has, or one peer has and the others had
 * `LEDGER.askHeadMs` more for it. Without a peer it waits: there is nobody then who could write anything, but this node, which
 * signs nothing either. Resolves early when `signal` ends it.
 */
export async function takeOver(
  { mesh, self }: { readonly mesh: LedgerMesh; readonly self: AccountId },
  deps: TakeOverDeps,
  signal: AbortSignal,
): Promise<void> {
  const { link, clock, nudge, onWait } = deps;
  const witnesses = mesh.witnesses.filter((id) => id !== self).map((id) => nodeIdOf(fromHex(id)));
  const whole = new Set<NodeId>();
  // A sync that somebody else has begun goes on when this ends.
  const ended = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => ended.resolve(), { once: true });
  let firstAt: number | undefined;
  while (!signal.aborted) {
    const peers = link.peers();
    const others = peers.filter((peer) => !witnesses.includes(peer)).slice(0, LEDGER.witnessSyncsWith);
    const asked = [...witnesses.filter((id) => peers.includes(id)), ...others].filter((peer) => !whole.has(peer));
    const asking = asked.map(async (peer) => {
      if (await hasSaidAll(peer, self, deps, signal)) whole.add(peer);
    });
    // A sync has its time, so nobody holds this up for ever.
    await Promise.race([Promise.all(asking), ended.promise]);
    if (whole.size > 0) {
      firstAt ??= clock.elapsed();
      const isAll = whole.size >= LEDGER.witnessSyncsWith && witnesses.every((id) => whole.has(id));
      if (isAll || clock.elapsed() - firstAt >= LEDGER.askHeadMs) return;
    }
    if (!signal.aborted) {
      onWait(peers.length === 0 ? 'no peer is connected' : 'not all have said yet what this key has attested');
    }
    await nudge.wait(LEDGER.askHeadAgainMs);
  }
}

/** The sync comes first: when an entry is here, it is known what came before it. */
async function hasSaidAll(
  peer: NodeId,
  self: AccountId,
  { sync, onVotes }: TakeOverDeps,
  signal: AbortSignal,
): Promise<boolean> {
  return isWhole(await sync.with(peer, signal)) && isWhole(await sync.votes(peer, self, onVotes, signal));
}

function isWhole({ failed, isCut }: Asked): boolean {
  return failed === undefined && !isCut;
}
