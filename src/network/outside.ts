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
