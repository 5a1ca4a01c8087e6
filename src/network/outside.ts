/** What admission keeps of a peer, from its first connection on. */

import type { Connection } from '@libp2p/interface';
import type { Hello } from '../protocol/hello.ts';

/** One connection. What was said on it once is not taken back: who changes from yes to no hangs up. */
export interface Link {
  /** Whether the peer has been told that this side accepts it; undefined before the first hello. */
  told: boolean | undefined;
  /** What the peer said last. */
  heard: Hello | undefined;
  /** A hello of this side is on its way. */
  saying: boolean;
}

export interface Peer {
  readonly links: Map<Connection, Link>;
  /** `Clock.now()` when it came. */
  readonly since: number;
  /** What it said last, on any connection. */
  hello: Hello | undefined;
  admitted: boolean;
  /** It was told to the others that it waits. */
  waits: boolean;
  /** Whether it is admitted, as soon as the hellos on their way are through. */
  decided: PromiseWithResolvers<boolean>;
  /** True once it is admitted, however long that takes; false when it goes before. */
  entered: PromiseWithResolvers<boolean>;
  held: number;
}

/** @param since `Clock.now()` */
export function newPeer(since: number): Peer {
  return {
    links: new Map(),
    since,
    hello: undefined,
    admitted: false,
    waits: false,
    decided: Promise.withResolvers<boolean>(),
    entered: Promise.withResolvers<boolean>(),
    held: 0,
  };
}

/** Whether each side has told the other on this connection that it accepts. */
export function isAgreed({ told, heard }: Link): boolean {
  return told === true && heard?.waiting === false;
}

/** Whether a hello is still to come on one of its connections, or on its way. */
export function isInHello({ links }: Peer): boolean {
  return [...links.values()].some(({ heard, saying }) => heard === undefined || saying);
}

/** From here on streams of the peer are held until a hello has passed. */
export function undecide(peer: Peer): void {
  const before = peer.decided;
  peer.decided = Promise.withResolvers<boolean>();
  // Whoever holds the old one waits for the new one; it changes nothing when the old one is settled.
  before.resolve(peer.decided.promise);
}
