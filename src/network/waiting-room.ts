/**
 * How many strangers may wait to be accepted. Bounded over all, and by address: one machine that comes with a hundred keys
 * takes a part of the list, and leaves the rest to others.
 */

import { MESH } from '../limits.ts';
import type { NodeId } from '../protocol/ids.ts';

export interface Waiting {
  readonly node: NodeId;
  /** Multiaddr of its connection. */
  readonly address: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** Whether one more may wait beside those that do. @param address multiaddr of its connection */
export function hasRoom(address: string, waiting: readonly Waiting[]): boolean {
  if (waiting.length >= MESH.maxWaiting) return false;
  const source = sourceOf(address);
  return waiting.filter((other) => sourceOf(other.address) === source).length < MESH.maxWaitingPerAddress;
}

/** Who an address stands for: one IPv4 address, or one IPv6 network of 64 bits, which is one line. */
function sourceOf(address: string): string {
  const [, family = '', host = ''] = address.split('/');
  return family === 'ip6' ? network64(host) : host;
}

function network64(host: string): string {
  const [head = '', tail] = host.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const zeros = tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter((group) => group !== '').length;
  return [...groups, ...Array.from({ length: zeros }, () => '0'), ...(tail ?? '').split(':')].slice(0, 4).join(':');
}
