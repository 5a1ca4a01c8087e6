/** A peer on a list of this node's user, as it lies on the disk. */

import { isNodeId, type NodeId } from '../protocol/ids.ts';

export interface NamedPeer {
  readonly node: NodeId;
  /** As it was last known; may be empty. */
  readonly name: string;
}

export function isNamedPeer(item: unknown): item is NamedPeer {
  const { node, name } = (item ?? {}) as Partial<Record<keyof NamedPeer, unknown>>;
  return typeof node === 'string' && isNodeId(node) && typeof name === 'string';
}
