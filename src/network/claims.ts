/** What a signed message says of itself, read and not checked: enough to drop it before its signature is looked at. */

import { decode } from '../protocol/cbor.ts';
import { type NodeId, nodeIdOf } from '../protocol/ids.ts';

export interface Claims {
  readonly author: NodeId;
  /** The array after the networkId and the author. */
  readonly fields: readonly unknown[];
}

/** @returns undefined when it is malformed */
export function claimsOf(bytes: Uint8Array): Claims | undefined {
  try {
    const [payload] = decode(bytes, 'an envelope') as [Uint8Array];
    const [, author, ...fields] = decode(payload, 'a payload') as [Uint8Array, Uint8Array, ...unknown[]];
    return { author: nodeIdOf(author), fields };
  } catch {
    return undefined;
  }
}
