/**
 * The directory as the network sees it: with nobody in it whom this side does not accept. In a mesh in which every user
 * decides for himself, peers pass on what they know of nodes that this one has not let in.
 */

import type { NodeId } from '../protocol/ids.ts';
import { claimsOf } from './claims.ts';
import type { Directory, Verdict } from './ports.ts';

/** @param mayKnow whether this side works with a node */
export function withoutStrangers(directory: Directory, mayKnow: (node: NodeId) => boolean): Directory {
  const ingest = (bytes: Uint8Array, take: () => Verdict): Verdict => {
    const claims = claimsOf(bytes);
    // One that is malformed goes on to be rejected for it.
    return claims === undefined || mayKnow(claims.author) ? take() : 'ignore';
  };
  return {
    ingestProfile: (bytes) => ingest(bytes, () => directory.ingestProfile(bytes)),
    ingestBeat: (bytes, ageMs) => ingest(bytes, () => directory.ingestBeat(bytes, ageMs)),
    signed: () => directory.signed(),
    get: (node) => directory.get(node),
    nodes: () => directory.nodes(),
    forget: (node) => directory.forget(node),
  };
}
