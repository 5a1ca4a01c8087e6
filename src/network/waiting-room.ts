/**
 * How many strangers may wait to be accepted. Bounded over all, and by address: one machine that comes with a hundred keys
 * takes a part of the list, and leaves the rest to others. When a few machines have filled the list, they give way.
 */

import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';

export interface Waiting {
  readonly node: NodeId;
  /** Multiaddr of its connection. */
  readonly address: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** `taken`: there is room for one more as soon as `from` has gone. */
export type Room =
  | { readonly kind: 'free' }
  | { readonly kind: 'taken'; readonly from: NodeId }
  | { readonly kind: 'none' };

/**
 * Whether one more may wait beside those that do. In a full list the oldest of the most numerous source makes room for one of
 * a source that has fewer: so nobody is pushed out by a source as large as its own.
 * @param address multiaddr of its connection
 * @param waiting the one that came first in front
 */
export function roomFor(address: string, waiting: readonly Waiting[]): Room {
  const bySource = Map.groupBy(waiting, (other) => sourceOf(other.address));
  const own = bySource.get(sourceOf(address))?.length ?? 0;
  if (own >= MESH.maxWaitingPerAddress) return { kind: 'none' };
  if (waiting.length < MESH.maxWaiting) return { kind: 'free' };
  let largest: readonly Waiting[] = [];
  for (const others of bySource.values()) if (others.length > largest.length) largest = others;
  const [oldest] = largest;
  return oldest !== undefined && largest.length > own ? { kind: 'taken', from: oldest.node } : { kind: 'none' };
}

/**
 * Who an address stands for: one IPv4 address, or one IPv6 network of 64 bits, which is one line. In a local network (RFC
 * 4193, RFC 4291) all machines share those 64 bits, and each address stands for itself.
 */
export function sourceOf(address: string): string {
  const [, family, host = ''] = /\/(ip4|ip6|dns[46]?|dnsaddr)\/([^/]+)/.exec(address) ?? [];
  if (family !== 'ip6') return host;
  const groups = groupsOf(host);
  const [first = 0] = groups;
  const [mark, high = 0, low = 0] = groups.slice(5);
  const isMapped = mark === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (isMapped) return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
  const isLocal = (first & 0xffc0) === 0xfe80 || (first & 0xfe00) === 0xfc00;
  return (isLocal ? groups : groups.slice(0, 4)).map((group) => group.toString(16)).join(':');
}

/** The eight groups of an IPv6 address, however it is written (RFC 4291, section 2.2). */
function groupsOf(host: string): number[] {
  const [head = [], tail = []] = host.split('::').map(parts);
  const zeros = Math.max(0, 8 - head.length - tail.length);
  return [...head, ...Array.from({ length: zeros }, () => 0), ...tail];
}

function parts(half: string): number[] {
  return half.split(':').flatMap((part) => {
    if (part === '') return [];
    if (!part.includes('.')) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
