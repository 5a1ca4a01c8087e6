/** Acceptance: what an adapter says about its models. */

import { expect, it, vi } from 'vitest';
import type { EngineCall } from '../../jobs/ports.ts';
import { hear, never, type Stage } from './stage.ts';

export function testModels({ subject, engine, chat }: Stage): void {
  it('lists what the engine has', () => {
    const model = engine()
      .models()
      .find((each) => each.name === subject.models.chat);
    expect(engine().status()).toMatchObject({ state: 'ready', hint: undefined });
    expect(model?.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(model?.capabilities).toContain('completion');
    expect(model?.contextLength).toBeGreaterThan(0);
    expect(model?.parameterCount).toBeGreaterThan(0);
    expect(model?.sizeBytes).toBeGreaterThan(0);
  });

  it('describes a model, and says which one it does not have', async () => {
    const about = await engine().describe(subject.models.chat, never);
    expect(about.template).not.toBe('');
    expect(about.modelInfo['general.architecture']).toBeTypeOf('string');
    await expect(engine().describe('nobody-has-this:latest', never)).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('tells when a model was loaded and unloaded', async () => {
    const model = subject.models.chat;
    const load = (keepAlive: number | undefined): EngineCall => ({
      model,
      input: { kind: 'load', options: subject.options, ...(keepAlive !== undefined && { keepAlive }) },
      resume: undefined,
    });
    const isWarm = () =>
      engine()
        .models()
        .find((each) => each.name === model)?.warm;
    const told = vi.fn();
    await hear(engine().run(load(0), never));
    await vi.waitFor(() => expect(isWarm()).toBe(false));
    engine().onChange(told);

    expect((await hear(engine().run(load(undefined), never))).done?.reason).toBe('load');
    await vi.waitFor(() => expect(isWarm()).toBe(true), { timeout: 3000 });
    const [loaded] = (await engine().loaded(never)).filter((each) => each.name === model);
    expect(loaded?.expiresAt).toBeGreaterThan(Date.now());
    expect(told).toHaveBeenCalled();
    const [first] = (await hear(engine().run(chat(2, { options: { num_predict: 2 } }), never))).events;
    expect(first).toEqual({ type: 'progress', phase: 'prefill' });

    expect((await hear(engine().run(load(0), never))).done?.reason).toBe('unload');
    await vi.waitFor(
      async () => {
        const names = (await engine().loaded(never)).map((each) => each.name);
        expect(names).not.toContain(model);
      },
      { timeout: 3000 },
    );
    expect((await hear(engine().run(load(undefined), never))).events[0]).toEqual({
      type: 'progress',
      phase: 'loading',
    });
  });

  it('finds out after its first job that a model continues', async () => {
    const continues = () =>
      engine()
        .models()
        .find((each) => each.name === subject.models.chat)?.continues;
    expect(continues()).toBe('unknown');
    await hear(engine().run(chat(3, { options: { num_predict: 3 } }), never));
    await vi.waitFor(() => expect(continues()).toBe('yes'), { timeout: 5000 });
  });
}
