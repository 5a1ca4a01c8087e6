/** The libp2p host: transports, identity, and the services our own protocols stand on. */

import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { type GossipSub, type GossipSubComponents, gossipsub } from '@libp2p/gossipsub';
import { type Identify, identify } from '@libp2p/identify';
import type { ComponentLogger, Libp2p, Logger as Libp2pLogger, PeerId } from '@libp2p/interface';
import { type KadDHT, type KadDHTComponents, kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { type Ping, ping } from '@libp2p/ping';
import { createLibp2p } from 'libp2p';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import { boundedStore } from './bounded-store.ts';
import { noiseInOneWrite, yamuxWithFewUpdates } from './few-packets.ts';
import { gated, gatedForDht } from './gate.ts';
import { gossipOptions } from './gossip-options.ts';
import type { Admission } from './hello.ts';
import type { NetworkNames } from './protocols.ts';
import { addressOrder, type LoadedTransports } from './transports.ts';

export type Host = Libp2p<{ identify: Identify; ping: Ping; pubsub: GossipSub; dht: KadDHT }>;

export interface HostOptions {
  /** 32 secret bytes. */
  readonly seed: Uint8Array;
  readonly version: string;
  readonly names: NetworkNames;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  readonly transports: LoadedTransports;
  /** Whether the user wants no connection to a node at all. */
  readonly isBlocked: (node: NodeId) => boolean;
  /** A record came into the DHT's store, under this key of it. */
  readonly onRecord: (key: string) => void;
}

/** Makes a host that is not started yet. */
export async function createHost(options: HostOptions, admission: Admission): Promise<Host> {
  const { names, transports } = options;
  const order = addressOrder(transports.names);
  const blocked = (peer: PeerId) => options.isBlocked(peer.toString());
  return createLibp2p({
    start: false,
    privateKey: await generateKeyPairFromSeed('Ed25519', options.seed),
    addresses: { listen: [...options.listen] },
    nodeInfo: { name: 'gogrid', version: options.version, userAgent: `gogrid/${options.version}` },
    logger: silent,
    transports: transports.factories,
    connectionEncrypters: [noiseInOneWrite()],
    streamMuxers: [yamuxWithFewUpdates()],
    connectionGater: {
      denyDialPeer: blocked,
      denyInboundEncryptedConnection: blocked,
      denyOutboundEncryptedConnection: blocked,
      // The default of browsers refuses private addresses; here they are the rule.
      denyDialMultiaddr: () => false,
    },
    connectionManager: {
      addressSorter: (a, b) => order(a.multiaddr.toString(), b.multiaddr.toString()),
      maxConnections: MESH.maxConnections,
      inboundConnectionThreshold: MESH.inboundPerSecond,
      maxIncomingPendingConnections: MESH.maxConnections,
      maxParallelDials: MESH.maxDialsAtOnce * 4,
      dialTimeout: MESH.dialTimeoutMs,
      addressDialTimeout: MESH.dialTimeoutMs,
      // Our own loop reconnects (tend.ts): libp2p's gives up after a few tries.
      reconnectRetries: 0,
    },
    // A ping on a stream of its own, to every peer: at libp2p's 10 s that is most of what an idle mesh sends. Beats and the
    // silence of jobs tell sooner who is gone; this only clears away connections that nobody uses.
    connectionMonitor: { pingInterval: MESH.connectionCheckMs },
    services: {
      identify: identify(),
      // One stream a peer is the default, and a ping of ours at the wrong moment keeps that peer out of the DHT, which pings too.
      ping: ping({ maxInboundStreams: MESH.maxPings, maxOutboundStreams: MESH.maxPings }),
      pubsub: (components: GossipSubComponents) =>
        gossipsub(gossipOptions(names, admission))(gated(components, admission)),
      dht: (components: KadDHTComponents) => {
        trustListenAddresses(components);
        return kadDHT({
          protocol: names.dhtProtocol,
          clientMode: false,
          // The default drops private addresses, and with them every node of a LAN or on loopback.
          peerInfoMapper: passthroughMapper,
          allowQueryWithZeroPeers: true,
          // A walk dials whom it asks. Right after a start the directory answers, and a whole mesh may be starting.
          initialQuerySelfInterval: MESH.dhtSelfQueryMs,
          alpha: MESH.dhtParallel,
        })(gatedForDht(withBoundedStore(components, options.onRecord), admission));
      },
    },
  });
}

function withBoundedStore(components: KadDHTComponents, onPut: (key: string) => void): KadDHTComponents {
  const datastore = boundedStore(components.datastore, MESH.maxDhtRecords, onPut);
  return Object.create(components, { datastore: { value: datastore } });
}

/** libp2p keeps a public address to itself until another node has dialed it; whoever set `network.listen` knows better. */
function trustListenAddresses({ events, addressManager }: KadDHTComponents): void {
  events.addEventListener('transport:listening', ({ detail }) => {
    for (const address of detail.getAddrs()) addressManager.confirmObservedAddr(address, { type: 'transport' });
  });
}

/** libp2p's texts hold addresses and names from the network, and reading `DEBUG` is not ours: it says nothing. */
const nothing: Libp2pLogger = Object.assign(() => {}, {
  error: () => {},
  trace: () => {},
  enabled: false,
  newScope: () => nothing,
});
const silent: ComponentLogger = { forComponent: () => nothing };
