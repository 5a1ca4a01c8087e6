/** The transports of a host, in the order of preference that its operator set. */

import { tcp } from '@libp2p/tcp';
import type { Libp2pOptions } from 'libp2p';
import { toGoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Transport } from './ports.ts';

type Factory = NonNullable<Libp2pOptions['transports']>[number];

export interface LoadedTransports {
  /** Those that work on this machine, in order of preference. */
  readonly names: readonly Transport[];
  readonly factories: Factory[];
}

/**
 * Loads what is needed. QUIC comes with a native addon: a machine for which there is none goes without it, and says so.
 * @throws GoGridError when no transport is left
 */
export async function loadTransports(wanted: readonly Transport[], log: Logger): Promise<LoadedTransports> {
  const loaded: [Transport, Factory][] = [];
  let failure: unknown;
  for (const name of new Set(wanted)) {
    try {
      loaded.push([name, name === 'tcp' ? tcp() : await loadQuic()]);
    } catch (error) {
      failure = error;
      log.warn({ error }, 'QUIC does not run on this machine: this node does without it');
    }
  }
  if (loaded.length === 0) throw toGoGridError(failure);
  return { names: loaded.map(([name]) => name), factories: loaded.map(([, factory]) => factory) };
}

async function loadQuic(): Promise<Factory> {
  const { quic } = await import('@chainsafe/libp2p-quic');
  return quic({ maxConcurrentStreamLimit: MESH.quicStreams });
}

/** Which transport an address is for. */
export function transportOf(address: string): Transport {
  return address.includes('/quic') ? 'quic' : 'tcp';
}

/**
 * The order of a node's addresses, for dialing and for telling: relayed ones last, before them this machine's own, and as
 * the operator prefers transports.
 */
export function addressOrder(names: readonly Transport[]) {
  const rank = (address: string) => {
    const isLoopback = address.startsWith('/ip4/127.') || address.startsWith('/ip6/::1/');
    return (address.includes('/p2p-circuit') ? 100 : 0) + (isLoopback ? 10 : 0) + names.indexOf(transportOf(address));
  };
  return (a: string, b: string): -1 | 0 | 1 => {
    const difference = rank(a) - rank(b);
    return difference < 0 ? -1 : difference > 0 ? 1 : 0;
  };
}
