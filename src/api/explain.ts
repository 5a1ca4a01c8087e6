/**
 * `POST /route/explain`: where a question would go now, and why. Nothing is run, and nothing of the question leaves this node.
 * Of a model that nobody known here has, the hash of its name is looked up in the DHT, as for a question that is asked.
 */

import type { FastifyInstance } from 'fastify';
import type { Explanation } from '../contract/explanation.ts';
import type { PrivacyTier } from '../jobs/privacy.ts';
import type { Explained } from '../jobs/requester.ts';
import { parseModelRef } from '../protocol/model-name.ts';
import { readJson } from './body.ts';
import type { Exchanges } from './exchange.ts';
import { jobSpec } from './job-answer.ts';
import { decodeChat } from './openai/chat-request.ts';
import type { Explain, Runtime } from './ports.ts';

export interface ExplainDeps {
  readonly runtime: Runtime;
  readonly explain: Explain;
  readonly exchanges: Exchanges;
  /** Tier of requests that name none. */
  readonly privacy: PrivacyTier;
}

export function explainRoutes(app: FastifyInstance, deps: ExplainDeps): void {
  app.post('/route/explain', async (request, reply): Promise<Explanation> => {
    const { model, input } = decodeChat(await readJson(request.raw));
    const spec = jobSpec(model, input, request.headers, deps.privacy);
    const decision = await deps.explain(spec, deps.exchanges.open(reply.raw).signal);
    const about = { model: parseModelRef(model).name, privacy: spec.privacy };
    return { ...about, ...withNames(decision, deps.runtime), priceMicrocredits: '0' };
  });
}

function withNames(
  decision: Explained,
  runtime: Runtime,
): Omit<Explanation, 'model' | 'privacy' | 'priceMicrocredits'> {
  const { peerId: self, name } = runtime.identity();
  const peers = new Map(runtime.peers().map((peer) => [peer.peerId, peer]));
  const nameOf = (node: string) => (node === self ? name : (peers.get(node)?.name ?? ''));
  return {
    ...decision,
    candidates: decision.candidates.map((candidate) => ({ ...candidate, name: nameOf(candidate.node) })),
    excluded: decision.excluded.map((excluded) => ({
      ...excluded,
      name: nameOf(excluded.node),
      status: excluded.node === self ? runtime.health().state : (peers.get(excluded.node)?.status ?? ''),
    })),
  };
}
