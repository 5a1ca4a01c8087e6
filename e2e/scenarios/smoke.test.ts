/** A short slice of everything, for every run of `npm test`: five nodes, the clients, one fail-over. */

import { expect } from 'vitest';
import { ask, ollama, openai, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import { scenario } from '../harness/stage.ts';
import { askAndStrike } from '../harness/strike.ts';

scenario(
  'five nodes, the model on one: all give the same words (E7, E8, E27, E29, G47, G48)',
  { within: 40_000 },
  async (stage) => {
    const mesh = await stage.mesh([{}, {}, { engine: {} }, {}, {}]);
    const content = `What about ${stage.random.word(6)}? words=60`;
    const expected = answerTo(content);
    let questions = 0;
    for (const { node } of mesh.members) {
      const streamed = await streamChat(openai(node), { content });
      expect(streamed.text).toBe(expected);
      expect(streamed.provider).toBe(mesh.node(2).peerId);
      const whole = await openai(node).chat.completions.create({ model: 'words', messages: ask(content) });
      expect(whole.choices[0]?.message.content).toBe(expected);
      let text = '';
      for await (const part of await ollama(node).chat({ model: 'words', messages: ask(content), stream: true })) {
        text += part.message.content;
      }
      expect(text).toBe(expected);
      const native = await ollama(node).chat({ model: 'words', messages: ask(content) });
      expect(native.message.content).toBe(expected);
      questions += 4;
      expect(await generations(mesh.engine(2)), 'one engine call for each question').toHaveLength(questions);
    }
  },
);

scenario(
  'a provider is killed in mid-answer: nothing is lost, nothing comes twice',
  { within: 40_000 },
  async (stage) => {
    const engine = { tokensPerSecond: 120 };
    const mesh = await stage.mesh([{}, { engine }, { engine }]);
    const content = `What about ${stage.random.word(6)}? words=100`;
    const atToken = stage.random.int(1, 98);
    const streamed = await askAndStrike(mesh, { content, atToken, strike: (provider) => mesh.node(provider).kill() });
    expect(streamed.text, `killed after ${atToken} tokens`).toBe(answerTo(content));
    const { attempts } = await mesh.node(0).job(streamed.job);
    expect(attempts).toHaveLength(2);
  },
);
