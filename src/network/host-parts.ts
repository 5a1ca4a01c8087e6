/** What works on a host, and so lives as long as one. */

import type { Listener } from '@libp2p/interface';
import type { NodeId } from '../protocol/ids.ts';
import type { Acceptance } from './acceptance.ts';
import { Dialer } from './dial.ts';
import { Discovery } from './discovery.ts';
import type { Gossip } from './gossip.ts';
import type { Admission } from './hello.ts';
import { LanDiscovery } from './lan.ts';
import { Latencies } from './latency.ts';
import { Learning } from './learn.ts';
import type { Host } from './libp2p.ts';
import type { Directory, NetworkDeps, NetworkOptions } from './ports.ts';
import type { StateExchange } from './state.ts';
import { Tend } from './tend.ts';

export interface HostParts {
  readonly host: Host;
  readonly listeners: Listener[];
  readonly dialer: Dialer;
  readonly latencies: Latencies;
  readonly learning: Learning;
  readonly discovery: Discovery;
  readonly tend: Tend;
  readonly lan: LanDiscovery | undefined;
}

/** What was there before the host. */
export interface HostPartsDeps {
  readonly self: NodeId;
  readonly admission: Admission;
  readonly acceptance: Pick<Acceptance, 'isBlocked'>;
  readonly directory: Directory;
  readonly gossip: Gossip;
  readonly state: StateExchange;
  /** Where this node listens: multiaddrs with `/p2p`. */
  readonly addresses: () => readonly string[];
}

/** Nothing of it runs before its `start`. */
export function buildHostParts(
  host: Host,
  { bootstrap, reconnectDelayMs, networkId, mdns }: NetworkOptions,
  { clock, log, knownPeers, random, onWorkAdvertised }: NetworkDeps,
  { self, admission, acceptance, directory, gossip, state, addresses }: HostPartsDeps,
): HostParts {
  const { ping } = host.services;
  const listeners: Listener[] = [];
  host.addEventListener('transport:listening', ({ detail }) => listeners.push(detail));
  const dialer = new Dialer({ host, admission, directory, clock });
  const connectionTo = (node: NodeId) => dialer.connectionTo(node);
  const wants = (node: NodeId) => !acceptance.isBlocked(node);
  const accepts = (node: NodeId) => admission.accepts(node);
  const tend = new Tend(
    { self, bootstrap, reconnectDelayMs },
    { dialer, directory, knownPeers, wants, clock, random, log },
  );
  const onFound = (node: NodeId, found: readonly string[]) => tend.onFound(node, found);
  return {
    host,
    listeners,
    dialer,
    latencies: new Latencies({ clock, ping: (peer, signal) => ping.ping(peer, { signal }) }),
    learning: new Learning({ state, gossip, directory, clock, log, connectionTo }),
    discovery: new Discovery({ host, self, accepts, dialer, state, directory, onWorkAdvertised, clock, log }),
    tend,
    lan: mdns ? new LanDiscovery(networkId, { addresses, onFound, clock, log }) : undefined,
  };
}
