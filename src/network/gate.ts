/**
 * Keeps libp2p's own protocols behind admission. gossipsub and the DHT start with the connection, before any stream of
 * ours: without a gate a peer that never says hello is meshed, has messages delivered and sits in the routing table; and
 * one that is admitted a moment later stays without gossip, because its subscriptions were thrown away before.
 */

import type { GossipSubComponents } from '@libp2p/gossipsub';
import type { Topology } from '@libp2p/interface';
import type { NodeId } from '../protocol/ids.ts';
import type { Admission } from './hello.ts';

type Registrar = GossipSubComponents['registrar'];

/** The same components with a registrar that shows and hears admitted peers alone. */
export function gated<Components extends { readonly registrar: Registrar }>(
  components: Components,
  admission: Admission,
): Components {
  // The components are a proxy that libp2p fills as it starts: inherit from it instead of copying it.
  return Object.create(components, { registrar: { value: gatedRegistrar(components.registrar, admission) } });
}

function gatedRegistrar(registrar: Registrar, admission: Admission): Registrar {
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
function gatedTopology(topology: Topology, admission: Admission): Topology {
  const told = new Set<NodeId>();
  return {
    ...topology,
    onConnect: async (peer, connection) => {
      const node = peer.toString();
      if (!(await admission.onceAdmitted(node))) return;
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
