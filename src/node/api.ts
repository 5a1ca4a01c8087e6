/** What programs and people talk to. */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { EventRing } from '../api/events.ts';
import type { Descriptor, Doorkeeper, Friends, Runtime } from '../api/ports.ts';
import { createCatalogue, createRuntime } from '../api/runtime.ts';
import { type ApiOptions, createApi } from '../api/server.ts';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/settings.ts';
import type { Network as MeshAnswer } from '../contract/network.ts';
import type { Network } from '../network/network.ts';
import type { NodeId } from '../protocol/ids.ts';
import { describeMesh } from '../storage/network-file.ts';
import { buildCredits, type NodeCredits } from './credits.ts';
import { type NodeDeps, nodeName } from './deps.ts';
import { buildDoctor, isInSight } from './doctor.ts';
import { bootstrapOf, type Mesh } from './mesh.ts';
import type { NodePulls } from './pulls.ts';
import type { Stores } from './stores.ts';
import type { Worker } from './worker.ts';

export function buildApi(
  config: Config,
  deps: NodeDeps,
  stores: Stores,
  worker: Worker,
  mesh: Mesh,
  { pulls }: NodePulls,
) {
  const { engine, book, directory } = worker;
  const { network, requester } = mesh;
  const catalogue = createCatalogue(stores.self, { engine, directory });
  const doctor = buildDoctor({
    config,
    deps,
    worker,
    network,
    pulls,
    bootstrap: () => bootstrapOf(config, stores),
    meshModels: () => catalogue.models().length,
    credits: () => credits.facts(),
    api: () => api.url(),
  });
  // An id of an event of another start means nothing in this one.
  const events = new EventRing(randomBytes(4).toString('hex'), clock);
  const credits = buildAccount(config, deps, stores, worker, mesh, events);
  const api = createApi(apiOptions(config, stores), {
    runJob: (spec, signal) => requester.run(spec, signal),
    explain: (spec, signal) => requester.explain(spec, signal),
    catalogue,
    runtime: buildRuntime(config, deps, stores, worker, mesh),
    doorkeeper: buildDoorkeeper(network, stores),
    friends: buildFriends(stores, mesh),
    jobs: book,
    pulls,
    descriptor: buildDescriptor(deps, stores, mesh),
    credits: credits.credits,
    ledger: credits.ledger,
    events,
    logs: deps.logs,
    stopNode: () => {
      worker.stopAsked();
      return { pid: process.pid, graceSecs: config.node.shutdown_grace_secs };
    },
    doctor,
    clock,
    log: deps.logger.child({ part: 'api' }),
  });
  return { ...api, credits };
}

/** Whom the API answers, and where. */
function apiOptions({ api, privacy }: Config, { apiKey }: Stores): ApiOptions {
  return {
    host: api.host,
    port: api.port,
    requireKey: api.require_key,
    privacy: privacy.default,
    key: apiKey,
    allowedOrigins: api.allowed_origins,
    allowedHosts: api.allowed_hosts,
    hostname: hostname(),
  };
}

/** What the API tells of this node's account and of the ledger. */
function buildAccount(
  config: Config,
  deps: NodeDeps,
  stores: Stores,
  worker: Worker,
  { network, ledger }: Mesh,
  events: EventRing,
): NodeCredits {
  return buildCredits(ledger, {
    clock,
    descriptor: () => stores.descriptor.current,
    nameOf: nameFinder(config, deps, stores, worker, network),
    isConnected: (node) => network.view(node).connected,
    isInSight: (node) => isInSight(node, network, worker.directory),
    publish: (event) => events.publish(event),
    pause: () => turn(undefined),
  });
}

/** What a machine calls itself, as far as this one knows; empty when it does not. */
function nameFinder(config: Config, deps: NodeDeps, stores: Stores, worker: Worker, network: Network) {
  return (node: NodeId): string => {
    if (node === stores.self) return nodeName(config, deps.home);
    const friend = stores.friends.list().find((known) => known.node === node);
    return network.view(node).name || worker.lastNames.get(node) || friend?.name || '';
  };
}

/** What the API says of this node and its peers. */
function buildRuntime(config: Config, deps: NodeDeps, stores: Stores, worker: Worker, mesh: Mesh): Runtime {
  const { network, requester } = mesh;
  const { self, signer, descriptor, networkId } = stores;
  return createRuntime(
    {
      self,
      name: nodeName(config, deps.home),
      version: deps.version,
      publicKey: Buffer.from(signer.publicKey).toString('hex'),
      network: descriptor.current.core.name,
      networkId: Buffer.from(networkId).toString('hex'),
      expectsPeers: () => bootstrapOf(config, stores).length > 0,
    },
    {
      ...worker,
      clock,
      addresses: () => network.addresses(),
      link: (node) => network.view(node),
      admittedPeers: () => network.admitted(),
      waiting: () => network.waiting(),
      blocked: () => network.blocked(),
      isFriend: (node) => stores.friends.has(node),
      knownNames: () => [
        ...[...stores.friends.list(), ...network.accepted()].map(({ node, name }) => [node, name] as const),
        ...worker.lastNames,
      ],
      queue: () => worker.provider.load,
      inMesh: () => {
        const { waiting } = requester;
        return { depth: waiting.depth, room: waiting.room, models: waiting.models() };
      },
      drainEndsAt: () => worker.drainEndsAt,
    },
  );
}

/** The list of friends; a new one may have room for what waits. */
function buildFriends({ friends }: Stores, { requester }: Mesh): Friends {
  return {
    list: () => friends.list(),
    async replace(next) {
      const saved = friends.replace(next);
      requester.wake();
      await saved;
    },
    async add(friend) {
      const saved = friends.add(friend);
      requester.wake();
      await saved;
    },
    remove: (node) => friends.remove(node),
  };
}

/** What the API says of the mesh, and has its founder change. */
function buildDescriptor({ home }: NodeDeps, { descriptor, signer }: Stores, { admission }: Mesh): Descriptor {
  const show = (): MeshAnswer => ({
    ...describeMesh(home, descriptor.current, signer.publicKey),
    ...(admission.waitsForRestart() && { pendingRestart: ['admission'] }),
  });
  return {
    show,
    async reissue(changes) {
      await descriptor.reissue(changes);
      return show();
    },
  };
}

/** What the API's user decides about peers, carried out by the network. */
function buildDoorkeeper(network: Network, { friends }: Stores): Doorkeeper {
  const outcome = async (node: NodeId) => {
    const { name, admitted, connected, waitsFor } = network.view(node);
    const words = await network.words(node);
    return { peerId: node, name, admitted: admitted && connected, words: words ?? null, waitsFor: waitsFor ?? null };
  };
  const then = (decide: (node: NodeId) => Promise<void>) => async (node: NodeId) => {
    await decide(node);
    return outcome(node);
  };
  return {
    accept: then((node) => network.accept(node)),
    // Whom its user does not let in sees no prompt; and comes back as a stranger, not as a friend.
    block: then(async (node) => void (await Promise.all([network.block(node), friends.remove(node)]))),
    unblock: then((node) => network.unblock(node)),
  };
}
