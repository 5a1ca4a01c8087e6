/**
 * What a person at the terminal of a node wants to hear of: that the engine is back, that a model is ready, that a peer
 * joined, or waits to be accepted. Two looks at the node are compared; what changed is news. An engine that is lost is a
 * warning of the log, which such a person sees anyway.
 */

import { type Clock, every } from '../clock.ts';
import type { News } from '../contract/news.ts';
import { NEWS } from '../limits/program.ts';

/** A look at the node. */
export interface Look {
  readonly engine: { readonly kind: string; readonly state: string; readonly version: string };
  /** Models that this machine runs. */
  readonly models: readonly string[];
  /** Admitted peers, with what they run. */
  readonly peers: readonly { readonly id: string; readonly name: string; readonly models: readonly string[] }[];
  /** Peers that wait until this node's user accepts them, with the four words to compare. */
  readonly waiting: readonly { readonly id: string; readonly name: string; readonly words: string | undefined }[];
}

/** What changed between two looks. In a large mesh single peers are no news. Pure. */
export function newsBetween(before: Look, after: Look): News[] {
  const news: News[] = [];
  const wasReady = before.engine.state === 'ready';
  const isReady = after.engine.state === 'ready';
  const { kind, version } = after.engine;
  if (isReady && !wasReady) news.push({ type: 'engine-ready', kind, version });
  const names = after.models.filter((model) => !before.models.includes(model));
  if (names.length > 0) news.push({ type: 'models', names });
  if (Math.min(before.peers.length, after.peers.length) <= NEWS.maxPeersToName) news.push(...peerNews(before, after));
  for (const { id, name, words } of after.waiting) {
    const known = before.waiting.find((peer) => peer.id === id);
    // Words are made a moment after the peer is there, and without them nobody can decide.
    if (known === undefined ? words !== undefined : known.words === undefined && words !== undefined) {
      news.push({ type: 'peer-waiting', id, name, words });
    }
  }
  return news;
}

function peerNews(before: Look, after: Look): News[] {
  const had = new Set(before.peers.map(({ id }) => id));
  const has = new Set(after.peers.map(({ id }) => id));
  const joined = after.peers.filter(({ id }) => !had.has(id));
  const left = before.peers.filter(({ id }) => !has.has(id));
  return [
    ...joined.map(
      ({ name, models }, index): News => ({
        type: 'peer-joined',
        name,
        models,
        first: before.peers.length === 0 && index === 0,
      }),
    ),
    ...left.map(
      ({ name }, index): News => ({
        type: 'peer-left',
        name,
        last: after.peers.length === 0 && index === left.length - 1,
      }),
    ),
  ];
}

/** Looks again and again, and tells what changed; returns the way to stop it. */
export function followNews(look: () => Look, clock: Clock, listener: (news: News) => void): () => void {
  let last = look();
  const timer = every(clock, NEWS.lookEveryMs, () => {
    const now = look();
    for (const news of newsBetween(last, now)) listener(news);
    last = now;
  });
  return () => timer.cancel();
}
