/** Acceptance: engines that break, fall silent, go away and come back. */

import { expect, it, vi } from 'vitest';
import { systemClock } from '../../clock.ts';
import type { EngineEvent } from '../../jobs/ports.ts';
import { JOB } from '../../limits/jobs.ts';
import {
  clockInNoHurry,
  type EngineControl,
  fastClock,
  hear,
  hearFailure,
  never,
  type Stage,
  summary,
} from './stage.ts';

export function testFailures({ engine, start, chat }: Stage, control: EngineControl): void {
  it.each([
    ['dies', 'die', 'engine_failed'],
    ['sends an error', 'error', 'engine_failed'],
    ['runs out of memory', 'oom', 'engine_out_of_memory'],
    ['sends garbage', 'garbage', 'engine_failed'],
  ] as const)('tells that the engine %s in the middle of an answer', async (_what, kind, code) => {
    await control.fail(kind, 5);
    const { heard, error } = await hearFailure(engine().run(chat(50), never));
    expect(heard.tokens).toBeLessThanOrEqual(5);
    expect(error).toMatchObject({ code });
    expect(error.hint).toBeDefined();
    expect(error.message).not.toContain('#1');
  });

  it.each([
    ['dies', 'die', 'engine_failed'],
    ['sends an error', 'error', 'engine_failed'],
    ['runs out of memory', 'oom', 'engine_out_of_memory'],
    ['is full', '503', 'overloaded'],
    ['sends garbage', 'garbage', 'engine_failed'],
  ] as const)('tells that the engine %s before it answers', async (_what, kind, code) => {
    await control.fail(kind, 0);
    const { heard, error } = await hearFailure(engine().run(chat(50), never));
    expect(heard.tokens).toBe(0);
    expect(error).toMatchObject({ code });
    expect(error.hint).toBeDefined();
  });

  it('gives up on an engine that falls silent in the middle', async () => {
    const hasty = await start(fastClock(100));
    await control.fail('stall', 5);
    const { heard, error } = await hearFailure(hasty.run(chat(50), never));
    expect(heard.tokens).toBe(5);
    expect(error).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('silence') });
    await vi.waitFor(async () => expect((await control.calls()).at(-1)).toMatchObject({ aborted: true }));
  });

  it('gives up on an engine that never begins', async () => {
    const clock = clockInNoHurry();
    const hasty = await start(clock);
    // Leaves a connection behind: at this pace, making one would be a matter of two milliseconds.
    await hear(hasty.run(chat(1), never));
    await control.fail('stall', 0);
    clock.hurry(2000);
    const { error } = await hearFailure(hasty.run(chat(50), never));
    expect(error).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('begin') });
  });

  it('waits for a slow one, and for a consumer that takes its time', async () => {
    const hasty = await start(fastClock(100));
    await control.fail('slow', 2);
    const events: EngineEvent[] = [];
    for await (const event of hasty.run(chat(5), never)) {
      events.push(event);
      // Longer than the longest silence allowed to the engine.
      if (events.length === 2) await new Promise((resolve) => setTimeout(resolve, JOB.engineStallMs / 100 + 100));
    }
    expect(summary(events).done?.usage.outputTokens).toBe(5);
  });
}

export function testComingBack({ subject, engine, start, chat }: Stage, control: EngineControl): void {
  it('says what to do while the engine is away, and works again when it is back', async () => {
    await hear(engine().run(chat(3), never));
    const told = vi.fn();
    engine().onChange(told);
    await control.vanish();
    const { error } = await hearFailure(engine().run(chat(3), never));
    expect(error).toMatchObject({ code: 'engine_unavailable', hint: expect.stringContaining('start') });
    await vi.waitFor(() => expect(engine().status().state).toBe('unreachable'));
    expect(engine().status().hint).toContain('start');
    expect(engine().models()).toEqual([]);
    expect(told).toHaveBeenCalled();

    told.mockClear();
    await control.comeBack();
    const backAt = performance.now();
    await vi.waitFor(() => expect(engine().status().state).toBe('ready'), { timeout: 3000, interval: 10 });
    expect(performance.now() - backAt).toBeLessThan(1500);
    expect(told).toHaveBeenCalled();
    expect((await hear(engine().run(chat(3), never))).text).not.toBe('');
  });

  it('starts without an engine, and finds it later', async () => {
    await control.vanish();
    const early = await start(systemClock);
    expect(early.status().state).toBe('unreachable');
    expect(early.models()).toEqual([]);
    await control.comeBack();
    await vi.waitFor(() => expect(early.models().map((model) => model.name)).toContain(subject.models.chat), {
      timeout: 3000,
    });
  });
}
