/** Nodes of one mesh in one process, joined by real libp2p over loopback: for tests of the network adapter. */

import { randomBytes } from 'node:crypto';
import { type GossipSub, gossipsub } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import type { Libp2p } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import { Announcer } from '../capabilities/announcer.ts';
import { Directory } from '../capabilities/directory.ts';
import { type Clock, systemClock } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import { LiveDescriptor } from '../network/descriptor.ts';
import { listenAddress } from '../network/listen.ts';
import { createNetwork, type Network } from '../network/network.ts';
import type {
  AcceptedPeers,
  KnownPeers,
  Listening,
  NetworkDeps,
  NetworkEvent,
  NetworkOptions,
  Transport,
} from '../network/ports.ts';
import { DescriptorSpread } from '../network/spread.ts';
import { loadTransports } from '../network/transports.ts';
import type { NodeStatus } from '../protocol/beat.ts';
import { LOCAL_DESCRIPTOR, type NetworkDescriptor } from '../protocol/descriptor.ts';
import { LOCAL_NETWORK, networkIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { profileWith } from './builders.ts';
import { type NumberDisk, numbersOn } from './kept-number.ts';
import { VirtualClock } from './virtual-clock.ts';

export const TEST_NETWORK_ID = networkIdOf({ ...LOCAL_NETWORK, name: 'loopback' });

export interface LoopbackNode {
  readonly id: string;
  readonly network: Network;
  readonly directory: Directory;
  readonly announcer: Announcer;
  readonly events: NetworkEvent[];
  readonly seed: Uint8Array;
  readonly clock: Clock;
  readonly descriptor: LiveDescriptor;
  /** The descriptors that it has put on its disk. */
  readonly saved: readonly NetworkDescriptor[];
  /** What it is: change it and call `announcer.profileChanged()`. */
  readonly facts: {
    models: string[];
    status: NodeStatus;
    /** Takes nothing into its directory. */
    deaf: boolean;
  };
  /** What its start told; undefined before. */
  listening: Listening | undefined;
  /** The first address it listens on, with `/p2p`. */
  address(): string;
  stop(): Promise<void>;
}

export type LoopbackOptions = Partial<
  Pick<
    NetworkOptions,
    | 'seed'
    | 'networkId'
    | 'bootstrap'
    | 'port'
    | 'reconnectDelayMs'
    | 'listen'
    | 'portIsConfigured'
    | 'accept'
    | 'transports'
    | 'name'
  >
> & {
  models?: string[];
  deaf?: boolean;
  /** Default: the system's. On one that stands still nothing happens but what messages make happen. */
  clock?: Clock;
  onJob?: NetworkDeps['onJob'];
  onIdle?: NetworkDeps['onIdle'];
  onWorkAdvertised?: NetworkDeps['onWorkAdvertised'];
  ledger?: NetworkDeps['ledger'];
  knownPeers?: KnownPeers;
  /** Of its profiles and beats. */
  numberDisk?: NumberDisk;
  acceptedPeers?: AcceptedPeers;
  /** Its descriptor; without one it is in a mesh of the tests that has none. */
  mesh?: NetworkDescriptor;
};

const running = new Set<LoopbackNode>();
const strangers = new Set<Libp2p>();

/** Stops every node that a test has left running, without a word to each other; for `afterEach`. */
export async function stopLoopbackNodes(): Promise<void> {
  const nodes = [...running].map(({ network, clock }) => withTime(clock, network.stop()));
  await Promise.all([...nodes, ...[...strangers].map((node) => node.stop())]);
  running.clear();
  strangers.clear();
}

/** A node that is not started. */
export function buildLoopbackNode(options: LoopbackOptions = {}): LoopbackNode {
  const { seed = randomBytes(32), models = [], deaf = false, mesh = LOCAL_DESCRIPTOR, ...rest } = options;
  const { clock = systemClock, numberDisk = { number: 0 } } = options;
  const numbers = numbersOn(numberDisk, clock);
  const networkId = options.networkId ?? (mesh === LOCAL_DESCRIPTOR ? TEST_NETWORK_ID : mesh.networkId);
  const signer = signerFromSeed(seed);
  const saved: NetworkDescriptor[] = [];
  const save = async (next: NetworkDescriptor) => void saved.push(next);
  const descriptor = new LiveDescriptor(mesh, { signer, save, log: silentLogger });
  const facts: LoopbackNode['facts'] = { models, status: 'idle', deaf };
  const events: NetworkEvent[] = [];
  const network = createNetwork(
    {
      name: 'desk',
      version: '0.1.0',
      features: [],
      listen: ['127.0.0.1'],
      port: 0,
      portIsConfigured: true,
      bootstrap: [],
      reconnectDelayMs: 200,
      accept: 'all',
      mdns: false,
      transports: ['tcp'],
      ...rest,
      seed,
      networkId,
    },
    {
      directory: {
        ingestProfile: (bytes) => (facts.deaf ? 'ignore' : directory.ingestProfile(bytes)),
        ingestBeat: (bytes, ageMs) => (facts.deaf ? 'ignore' : directory.ingestBeat(bytes, ageMs)),
        signed: () => directory.signed(),
        get: (node) => directory.get(node),
        nodes: () => directory.nodes(),
        forget: (node) => directory.forget(node),
      },
      own: () => announcer.own(),
      onJob: options.onJob ?? refuse,
      onIdle: options.onIdle ?? (() => 0),
      onWorkAdvertised: options.onWorkAdvertised ?? (() => {}),
      ledger: options.ledger,
      knownPeers: options.knownPeers ?? { load: async () => [], save: () => {} },
      acceptedPeers: options.acceptedPeers ?? rememberedPeers(),
      descriptor,
      clock,
      random: Math.random,
      log: silentLogger,
      emit: (event) => {
        events.push(event);
        if (event.type === 'newer-descriptor') spread.heard(event.node, event.said);
      },
    },
  );
  const spread = new DescriptorSpread({ descriptor, network, clock, log: silentLogger });
  const directory = new Directory({ self: network.self, networkId }, { clock, emit: () => {} });
  const announcer = new Announcer(
    { networkId, beatEveryMs: 30_000 },
    {
      signer,
      clock,
      random: Math.random,
      nextNumber: () => numbers.next(),
      describe: () => {
        const { number: _, issuedAt: __, ...said } = profileWith({ models: facts.models });
        return { ...said, addresses: network.addresses().map((address) => address.replace(/\/p2p\/.*$/, '')) };
      },
      load: () => ({ status: facts.status, queueDepth: 0, running: 0 }),
      sendProfile: (bytes) => network.publishProfile(bytes),
      sendBeat: (bytes) => network.publishBeat(bytes),
    },
  );
  const node: LoopbackNode = {
    id: network.self,
    network,
    directory,
    announcer,
    events,
    seed,
    clock,
    facts,
    descriptor,
    saved,
    listening: undefined,
    address: () => network.addresses()[0] ?? '',
    async stop() {
      if (!running.delete(node)) return;
      announcer.stop();
      spread.stop();
      await withTime(clock, network.stop());
    },
  };
  return node;
}

/** A node that stops gives its last words time: a clock that stands still has to go on for it. */
async function withTime(clock: Clock, stopping: Promise<void>): Promise<void> {
  let over = false;
  const end = () => {
    over = true;
  };
  void stopping.then(end, end);
  while (clock instanceof VirtualClock && !over) await clock.advance(MESH.lastWordsMs);
  await stopping;
}

export async function startLoopbackNode(options: LoopbackOptions = {}): Promise<LoopbackNode> {
  const node = buildLoopbackNode(options);
  node.listening = await node.network.start();
  running.add(node);
  node.announcer.start();
  node.network.provide(node.facts.models);
  return node;
}

/** A mesh: every node joins through the first. */
export async function startLoopbackMesh(size: number, options: LoopbackOptions = {}): Promise<LoopbackNode[]> {
  const first = await startLoopbackNode(options);
  const rest = await Promise.all(
    Array.from({ length: size - 1 }, () => startLoopbackNode({ ...options, bootstrap: [first.address()] })),
  );
  return [first, ...rest];
}

/** What a user has decided, kept in memory: pass the same one to the node that comes after a restart. */
export function rememberedPeers(): AcceptedPeers {
  let lists: Awaited<ReturnType<AcceptedPeers['load']>> = { accepted: [], blocked: [] };
  return {
    load: async () => lists,
    save: async (next) => {
      lists = next;
    },
  };
}

const refuse: NetworkDeps['onJob'] = (_from, _request, channel) => {
  channel.send({ type: 'reject', code: 'overloaded', message: 'nothing runs here' });
  channel.close();
};

/** A plain libp2p node that knows our transports and gossipsub, and nothing of ours: it never says hello. */
export async function startStranger(
  protocols: readonly string[] = [],
  transport: Transport = 'tcp',
): Promise<Libp2p<{ pubsub: GossipSub }>> {
  const { factories } = await loadTransports([transport], silentLogger);
  const stranger = await createLibp2p({
    addresses: { listen: [listenAddress('127.0.0.1', 0, transport)] },
    transports: factories,
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), pubsub: gossipsub({ globalSignaturePolicy: 'StrictNoSign' }) },
  });
  for (const protocol of protocols) await stranger.handle(protocol, () => {});
  strangers.add(stranger);
  return stranger;
}
