/** A provider with a real engine fails in mid-answer, and another goes on with the very words. */

import { Ollama } from 'ollama';
import { expect, inject, test } from 'vitest';
import { ask, ollama, openai, streamChat } from '../harness/clients.ts';
import { scenario } from '../harness/stage.ts';
import { type RealMesh, realMesh } from './harness/mesh.ts';
import { endlessModel, endlessOpenModel, type OllamaModel, starterModels } from './harness/models.ts';

interface Failover {
  /** What happens to the provider. */
  readonly what: string;
  readonly strike: (real: RealMesh, provider: number) => unknown;
  readonly model: () => Promise<OllamaModel> | OllamaModel;
  /** Of the whole answer; the model takes a second or more for them. */
  readonly tokens: number;
  /** Words that have reached the client when it happens. */
  readonly after: number;
}

const wordsIn = (text: string) => text.split(/\s+/).filter((word) => word !== '').length;

function failover({ what, strike, model: make, tokens, after }: Failover): void {
  scenario(`in mid-answer ${what}: the answer goes on, word for word`, { within: 90_000 }, async (stage) => {
    const model = await make();
    const real = await realMesh(stage, { members: [undefined, [model], [model]] });
    const { mesh } = real;
    const content = `Tell me about the ${stage.random.pick(['sea', 'moon', 'wind', 'mountains', 'rain', 'forest'])}.`;
    const question = { model: model.name, messages: ask(content), options: { num_predict: tokens } };
    // Undisturbed, from a daemon itself.
    const { message: expected } = await new Ollama({ host: real.daemon(1).url }).chat(question);
    expect(wordsIn(expected.content)).toBeGreaterThan(2 * after);

    let struck: number | undefined;
    const streamed = await streamChat(openai(mesh.node(0)), {
      model: model.name,
      content,
      more: { max_completion_tokens: tokens },
      onChunk: async ({ text, provider }) => {
        if (struck !== undefined || wordsIn(text) < after) return;
        struck = mesh.indexOf(provider);
        await strike(real, struck);
      },
    });
    expect(struck).toBeDefined();
    expect(streamed).toMatchObject({ text: expected.content, finish: 'length' });
    const { attempts, state, tokensOut } = await mesh.node(0).job(streamed.job);
    expect(attempts.map(({ provider }) => mesh.indexOf(provider))).toEqual([struck, struck === 1 ? 2 : 1]);
    expect(attempts[1]?.fromToken).toBeGreaterThanOrEqual(after);
    expect(attempts[1]?.fromToken).toBeLessThan(tokens);
    expect({ state, tokensOut }).toEqual({ state: 'completed', tokensOut: tokens });

    // Whoever is left answers the next question whole, in the other dialect too.
    expect((await ollama(mesh.node(0)).chat(question)).message.content).toBe(expected.content);
  });
}

const killNode = ({ mesh }: RealMesh, provider: number) => mesh.node(provider).kill();
const FAST = { tokens: 1000, after: 40 };
const SLOW = { tokens: 40, after: 8 };

failover({ what: 'the node is killed', strike: killNode, model: endlessModel, ...FAST });
failover({
  what: 'its Ollama is killed',
  strike: ({ daemon }, provider) => daemon(provider).kill(),
  model: endlessOpenModel,
  ...FAST,
});
failover({
  what: 'the process that runs the model is killed',
  strike: ({ daemon }, provider) => daemon(provider).killRunners(),
  model: endlessModel,
  ...FAST,
});

const { starter } = inject('ollama');
if (starter === undefined) test.skip('in mid-answer, with the starter model');
else {
  const model = async () => (await starterModels(starter)).closing;
  failover({ what: 'the node is killed, with the starter model', strike: killNode, model, ...SLOW });
}
