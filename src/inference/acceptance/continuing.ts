/** Acceptance: going on in the middle of an answer that another engine began. */

import { expect, it } from 'vitest';
import type { EngineCall } from '../../jobs/ports.ts';
import type { JobInput } from '../../protocol/job.ts';
import { type Heard, hear, hearFailure, needed, never, type Stage } from './stage.ts';

export function testContinuing({ subject, engine, chat }: Stage): void {
  /** Cuts an answer behind its first `cut` tokens, and lets a fresh call go on there. */
  const goOn = async (call: EngineCall, pieces: readonly string[], cut: number) => {
    const delivered = pieces.slice(0, cut).join('');
    const text = delivered.trimEnd();
    const space = delivered.slice(text.length);
    const rest = await hear(engine().run({ ...call, resume: { text, tokens: cut } }, never));
    return { rest, text: delivered + (rest.text.startsWith(space) ? rest.text.slice(space.length) : rest.text) };
  };

  for (const which of ['chat', 'closing'] as const) {
    it(`goes on exactly where an answer was cut (${which})`, async () => {
      const limit = subject.control === undefined ? 24 : 60;
      const call = chat(limit, { model: subject.models[which], options: { num_predict: limit } });
      const whole = await hear(engine().run(call, never));
      const pieces = split(whole);
      const step = subject.control === undefined ? 5 : 1;
      for (let cut = 1; cut < pieces.length; cut += step) {
        const { rest, text } = await goOn(call, pieces, cut);
        expect(text.slice(0, whole.text.length), `cut behind token ${cut}`).toBe(whole.text.slice(0, text.length));
        // White space that was cut off and made again costs its tokens.
        expect(whole.text.length - text.length).toBeLessThan(40);
        expect(rest.done?.usage.outputTokens).toBeLessThanOrEqual(limit - cut);
      }
    }, 60_000);
  }

  it('goes on in a raw prompt', async () => {
    const input: JobInput = {
      kind: 'generate',
      prompt: subject.prompt(16),
      raw: true,
      options: { ...subject.options, num_predict: 16 },
    };
    const call: EngineCall = { model: subject.models.chat, input, resume: undefined };
    const whole = await hear(engine().run(call, never));
    const { text } = await goOn(call, split(whole), 6);
    expect(text).toBe(whole.text);
  });

  it('ends at once when the answer already has all its tokens', async () => {
    const before = (await subject.control?.calls())?.length;
    const call = chat(9, { options: { num_predict: 5 }, resume: { text: 'so far', tokens: 5 } });
    const heard = await hear(engine().run(call, never));
    expect(heard.text).toBe('');
    expect(heard.done).toMatchObject({ reason: 'length', usage: { outputTokens: 0 } });
    expect((await subject.control?.calls())?.length).toBe(before);
  });

  it('says so when a text prefix does not carry the answer', async () => {
    const resume = { text: '{"a', tokens: 2 };
    const { model, input } = chat(5);
    const { error } = await hearFailure(
      engine().run({ model, input: { ...input, format: 'json' } as JobInput, resume }, never),
    );
    expect(error.code).toBe('cannot_continue');
    const embeds: JobInput = { kind: 'embed', inputs: ['x'] };
    const other = await hearFailure(engine().run({ model: subject.models.embedding, input: embeds, resume }, never));
    expect(other.error.code).toBe('cannot_continue');
  });

  it.skipIf(subject.models.thinking === undefined)('goes on with a thinking model that was told not to', async () => {
    const model = needed(subject.models.thinking);
    const { input } = chat(20);
    const quiet: EngineCall = { model, input: { ...input, think: false } as JobInput, resume: undefined };
    const whole = await hear(engine().run(quiet, never));
    const { text } = await goOn(quiet, split(whole), 7);
    expect(text).toBe(whole.text);
    const loud = { ...quiet, input, resume: { text: 'so far', tokens: 2 } };
    expect((await hearFailure(engine().run(loud, never))).error.code).toBe('cannot_continue');
  });

  it.skipIf(subject.control === undefined)('notices an engine that cannot, without an answer of it', async () => {
    const control = needed(subject.control);
    await control.set({ renders: false, tokensPerSecond: 50 });
    const call = chat(5000, { resume: { text: '#1', tokens: 1 } });
    const { error } = await hearFailure(engine().run(call, never));
    expect(error.code).toBe('cannot_continue');
    expect(
      engine()
        .models()
        .find((each) => each.name === call.model)?.continues,
    ).toBe('no');
    expect(await control.calls()).toEqual([]);
    expect((await hearFailure(engine().run(call, never))).error.code).toBe('cannot_continue');
  });
}

/** The answer token by token; engines that merge are cut at every word instead. */
function split(heard: Heard): string[] {
  return heard.text.match(/\s*\S+/g) ?? [];
}
