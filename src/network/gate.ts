/**
 * Keeps libp2p's own protocols behind admission. gossipsub and the DHT start with the connection, before any stream of
 * ours: without a gate a peer that never says hello is meshed, has messages delivered and sits in the routing table; and
 * one that is admitted a moment later stays without gossip, because its subscriptions were thrown away before. The DHT goes
 * on by itself to whomever its peers name: there the gate stands before the dial.
 */

import type { GossipSubComponents } from '@libp2p/gossipsub';
import { type AbortOptions, isPeerId, type PeerId, type Topology } from '@libp2p/interface';
import type { KadDHTComponents } from '@libp2p/kad-dht';
import { GoGridError } from '../errors.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Admission } from './hello.ts';
import { abortable } from './streams.ts';

type Registrar = GossipSubComponents['registrar'];
type ConnectionManager = KadDHTComponents['connectionManager'];
type Ping = KadDHTComponents['ping'];
/** What the gate asks of admission. */
type Gatekeeper = Pick<Admission, 'accepts' | 'guard' | 'whenAdmitted' | 'onceAdmitted' | 'connectionsTo'>;

/** The same components with a registrar that shows and hears admitted peers alone. */
export function gated<Components extends { readonly registrar: Registrar }>(
  components: Components,
  admission: Gatekeeper,
): Components {
  // The components are a proxy that libp2p fills as it starts: inherit from it instead of copying it.
  return Object.create(components, { registrar: { value: gatedRegistrar(components.registrar, admission) } });
}

/** The same for the DHT, which opens streams and pings by itself, too. */
export function gatedForDht(components: KadDHTComponents, admission: Gatekeeper): KadDHTComponents {
  const { connectionManager, ping } = components;
  return Object.create(gated(components, admission), {
    connectionManager: { value: gatedConnections(connectionManager, admission) },
    ping: { value: gatedPing(ping, connectionManager, admission) },
  });
}

function gatedConnections(manager: ConnectionManager, admission: Gatekeeper): ConnectionManager {
  const openStream: ConnectionManager['openStream'] = async (peer, protocol, options = {}) => {
    const connection = await reach(peer as PeerId, options, manager, admission);
    return connection.newStream(protocol, options);
  };
  return Object.create(manager, { openStream: { value: openStream } });
}

/** A ping dials: the routing table sends one to everybody it hears of, before it takes them in. */
function gatedPing(ping: Ping, manager: ConnectionManager, admission: Gatekeeper): Ping {
  const gatedPing: Ping['ping'] = async (peer, options = {}) => {
    await reach(peer as PeerId, options, manager, admission);
    return ping.ping(peer, options);
  };
  return Object.create(ping, { ping: { value: gatedPing } });
}

/**
 * An open connection to an admitted peer. Whom this side does not accept is not dialed.
 * @throws GoGridError `unauthorized`, what the dial throws, or what `signal` was aborted with
 */
async function reach(peer: PeerId, options: AbortOptions, manager: ConnectionManager, admission: Gatekeeper) {
  const refuse = () => new GoGridError({ code: 'unauthorized', message: 'the peer is not admitted' });
  if (!isPeerId(peer) || !admission.accepts(peer.toString())) throw refuse();
  const node = peer.toString();
  const signal = options.signal ?? new AbortController().signal;
  const connection = await manager.openConnection(peer, options);
  if (!(await abortable(admission.whenAdmitted(node), signal))) throw refuse();
  return [...admission.connectionsTo(node)].at(-1) ?? connection;
}

function gatedRegistrar(registrar: Registrar, admission: Gatekeeper): Registrar {
  return {
    getProtocols: () => registrar.getProtocols(),
    getHandler: (protocol) => registrar.getHandler(protocol),
    getTopologies: (protocol) => registrar.getTopologies(protocol),
    getMiddleware: (protocol) => registrar.getMiddleware(protocol),
    use: (protocol, middleware) => registrar.use(protocol, middleware),
    unuse: (protocol) => registrar.unuse(protocol),
    unregister: (id) => registrar.unregister(id),
    unhandle: (protocol, options) => registrar.unhandle(protocol, options),
    handle: (protocol, handler, options) => registrar.handle(protocol, admission.guard(handler), options),
    register: (protocol, topology, options) =>
      registrar.register(protocol, gatedTopology(topology, admission), options),
  };
}

/** Tells the topology of a peer once it is admitted, be it after hours, and of its going only when it was told of its coming. */
function gatedTopology(topology: Topology, admission: Gatekeeper): Topology {
  const told = new Set<NodeId>();
  /** Each identify of a peer that waits comes by here, and it may send as many as it likes: one of them is enough to wait. */
  const awaited = new Set<NodeId>();
  return {
    ...topology,
    onConnect: async (peer, connection) => {
      const node = peer.toString();
      if (awaited.has(node)) return;
      awaited.add(node);
      const isAdmitted = await admission.onceAdmitted(node).finally(() => awaited.delete(node));
      if (!isAdmitted) return;
      // The connection it came on may be closed by now, and another one carry on.
      const open = connection.status === 'open' ? connection : [...admission.connectionsTo(node)].at(-1);
      if (open === undefined) return;
      told.add(node);
      await topology.onConnect?.(peer, open);
    },
    onDisconnect: async (peer) => {
      if (told.delete(peer.toString())) await topology.onDisconnect?.(peer);
    },
  };
}
