/** Something happens to a provider at an exact place in its answer. */

import type { FakeFault } from '../engine/settings.ts';
import type { FakeEngine } from '../engine/start.ts';
import { openai, type Streamed, streamChat } from './clients.ts';
import { tokensTo } from './expected.ts';
import type { Mesh } from './mesh.ts';

export interface Strike {
  /** The node that asks. */
  readonly from?: number;
  readonly content: string;
  /** So many tokens of the answer reach the client before; then the engine slows down, so that there is time for it. */
  readonly atToken: number;
  /** Called once, with the index of the provider. */
  readonly strike: (provider: number) => unknown;
  /** Called with every chunk, before `strike`. */
  readonly onChunk?: (soFar: Streamed) => void;
}

const CRAWL_TOKENS_PER_SECOND = 4;

/** Asks the model `words` one question, and calls `strike` when so much of the answer has come. */
export async function askAndStrike(mesh: Mesh, { from = 0, content, atToken, ...calls }: Strike): Promise<Streamed> {
  const engines = mesh.members.flatMap(({ engine }) => (engine === undefined ? [] : [engine]));
  // The token behind the place where it slows down comes at once.
  await setFaults(engines, [{ kind: 'slow', afterTokens: atToken - 1, tokensPerSecond: CRAWL_TOKENS_PER_SECOND }]);
  const place = tokensTo(content).slice(0, atToken).join('').length;
  let struck = false;
  return streamChat(openai(mesh.node(from)), {
    content,
    onChunk: async (soFar) => {
      calls.onChunk?.(soFar);
      if (struck || soFar.text.length < place) return;
      struck = true;
      // Whoever goes on with the answer does so at full speed.
      await setFaults(engines, []);
      await calls.strike(mesh.indexOf(soFar.provider));
    },
  });
}

async function setFaults(engines: readonly FakeEngine[], faults: readonly FakeFault[]): Promise<void> {
  await Promise.all(engines.map((engine) => engine.control({ faults })));
}
