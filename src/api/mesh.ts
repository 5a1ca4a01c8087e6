/** The peers of this node, and what its user decides about them. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Peer, peerChoice } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { isNodeId } from '../protocol/ids.ts';
import { readBody, readJson } from './body.ts';
import type { Doorkeeper, Runtime } from './ports.ts';

export interface MeshDeps {
  readonly runtime: Runtime;
  readonly doorkeeper: Doorkeeper;
}

interface ById {
  readonly Params: { readonly id: string };
}

export function meshRoutes(app: FastifyInstance, { runtime, doorkeeper }: MeshDeps): void {
  app.get('/mesh/peers', () => {
    const peers = runtime.peers();
    return { peers, total: peers.length, away: runtime.away() };
  });
  app.get<ById>('/mesh/peers/:id', (request) => findPeer(runtime, request.params.id));
  app.get<ById>('/agent-mesh/peers/:id', (request) => findPeer(runtime, request.params.id));

  const chosen = async ({ raw }: FastifyRequest) => peerIn(runtime, await readJson(raw));
  app.post('/mesh/accept', async (request) => doorkeeper.accept(await chosen(request)));
  app.post('/mesh/block', async (request) => doorkeeper.block(await chosen(request)));
  app.post('/mesh/unblock', async (request) => doorkeeper.unblock(await chosen(request)));
}

function peerIn(runtime: Runtime, body: unknown): string {
  const { peer } = readBody(peerChoice, body);
  if (isNodeId(peer) && peer !== runtime.identity().peerId) return peer;
  throw new GoGridError({
    code: 'invalid_request',
    message: isNodeId(peer) ? 'peer: that is this node itself' : `peer: '${peer.slice(0, 80)}' is not the id of a node`,
    hint: 'GET /mesh/peers lists those that are known, with their peerId',
  });
}

function findPeer(runtime: Runtime, id: string): Peer {
  const peer = runtime.peers().find(({ peerId }) => peerId === id);
  if (peer !== undefined) return peer;
  throw new GoGridError({
    code: 'peer_not_found',
    message: `no node '${id.slice(0, 80)}' is known here`,
    hint: 'GET /mesh/peers lists those that are',
  });
}
