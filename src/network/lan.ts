/**
 * Nodes of this mesh in the local network, by multicast DNS. Anybody in the network may answer, and say anything: what is
 * found is a candidate for a dial and no more, its addresses are of the local network or not taken, and how many and how
 * fast is bounded. A machine on which multicast does not work has a line in its log, and a node that runs.
 */

import { BlockList } from 'node:net';
import type { PeerInfo } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Clock } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import { isNodeId, type NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Rates } from './rates.ts';

export interface LanDeps {
  /** Multiaddrs with `/p2p` by which this node is reached. */
  readonly addresses: () => readonly string[];
  /** @param addresses multiaddrs of the local network */
  readonly onFound: (node: NodeId, addresses: readonly string[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LanDiscovery {
  readonly #networkId: Uint8Array;
  readonly #deps: LanDeps;
  readonly #rates: Rates<'all'>;
  #service: { start(): Promise<void>; stop(): Promise<void> } | undefined;

  /** @param networkId 32 bytes */
  constructor(networkId: Uint8Array, deps: LanDeps) {
    this.#networkId = networkId;
    this.#deps = deps;
    this.#rates = new Rates({ perSecond: MESH.maxFoundPerSecond, maxKeys: 1 }, deps.clock);
  }

  /** Asks who is there, and answers who asks; never rejects. */
  async start(): Promise<void> {
    try {
      const service = mdns({ serviceTag: serviceName(this.#networkId), interval: MESH.mdnsEveryMs })({
        addressManager: { getAddresses: () => this.#announced() } as never,
        logger: { forComponent: () => this.#listener() } as never,
      }) as ReturnType<ReturnType<typeof mdns>> & { start(): Promise<void>; stop(): Promise<void> };
      service.addEventListener('peer', ({ detail }) => this.#onFound(detail));
      // Kept before it starts: one that breaks half-way has its socket open already, and is stopped like any other.
      this.#service = service;
      await service.start();
    } catch (error) {
      this.#unavailable(error);
    }
  }

  async stop(): Promise<void> {
    const service = this.#service;
    this.#service = undefined;
    await service?.stop();
  }

  /** The package knows no event for what goes wrong, and tells its log alone. */
  #listener() {
    const error = (text: string, cause: unknown) => {
      if (text.startsWith('mdns error')) this.#unavailable(cause);
    };
    return Object.assign(() => {}, { error, trace: () => {}, enabled: false });
  }

  #unavailable(error: unknown): void {
    this.#deps.log.warn(
      { error },
      'multicast DNS does not work here: nodes in the local network are not found by themselves',
    );
  }

  #announced(): Multiaddr[] {
    return this.#deps
      .addresses()
      .map((address) => multiaddr(address))
      .slice(0, MESH.maxFoundAddresses);
  }

  #onFound({ id, multiaddrs }: PeerInfo): void {
    const node = id.toString();
    const addresses = localAddresses(multiaddrs.slice(0, MESH.maxAddressesPerProfile).map(String));
    if (!isNodeId(node) || addresses.length === 0 || !this.#rates.allows('all')) return;
    this.#deps.onFound(node, addresses);
  }
}

/** One name a mesh, so that two of them in one network do not find each other; at most 15 characters (RFC 6335). */
export function serviceName(networkId: Uint8Array): string {
  return `_gogrid-${Buffer.from(networkId).toString('hex').slice(0, 8)}._udp.local`;
}

/** RFC 1918, RFC 6598, RFC 3927, and RFC 4193, RFC 4291. */
const LOCAL = new BlockList();
for (const [net, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
] as const) {
  LOCAL.addSubnet(net, bits, 'ipv4');
}
LOCAL.addSubnet('fc00::', 7, 'ipv6');
LOCAL.addSubnet('fe80::', 10, 'ipv6');

const OWN = new BlockList();
OWN.addSubnet('127.0.0.0', 8, 'ipv4');
OWN.addAddress('::1', 'ipv6');

/**
 * Of the addresses that an answer names, those that it may send us to: in the local network; on this machine itself only
 * when it names no other, as a node does that listens on loopback alone.
 */
export function localAddresses(addresses: readonly string[]): string[] {
  const among = (list: BlockList) =>
    addresses.filter((address) => {
      const [, family, host = ''] =
        /^\/ip([46])\/([0-9a-fA-F.:]+)\/(?:tcp|udp)\/\d+(?:\/quic-v1)?$/.exec(address) ?? [];
      return family !== undefined && list.check(host, family === '4' ? 'ipv4' : 'ipv6');
    });
  const local = among(LOCAL);
  return (local.length > 0 ? local : among(OWN)).slice(0, MESH.maxFoundAddresses);
}
