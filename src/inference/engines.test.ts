import { describe, expect, it, vi } from 'vitest';
import { GoGridError } from '../errors.ts';
import type { EngineState, LoadedModel } from '../jobs/ports.ts';
import { WordEngine } from '../testing/word-engine.ts';
import { hear, never } from './acceptance/stage.ts';
import { combineEngines, type LivingEngine } from './engines.ts';

/** An engine of which every part can be set. */
class Part extends WordEngine implements LivingEngine {
  state: EngineState = 'ready';
  names: readonly string[];
  inMemory: readonly LoadedModel[] | Error = [];
  lives = 0;
  looks = 0;
  readonly told = new Set<() => void>();
  readonly title: string;

  constructor(title: string, models: readonly string[]) {
    super({ models, words: 3, digest: title.repeat(64).slice(0, 64) });
    this.title = title;
    this.names = models;
  }
  override status() {
    return {
      state: this.state,
      version: this.title,
      hint: this.state === 'ready' ? undefined : `start ${this.title}`,
    } as never;
  }
  override models() {
    return super.models().filter((model) => this.names.includes(model.name));
  }
  override loaded(): Promise<never[]> {
    if (this.inMemory instanceof Error) return Promise.reject(this.inMemory);
    return Promise.resolve([...this.inMemory] as never[]);
  }
  override describe() {
    return Promise.resolve({ template: this.title, parameters: '', system: '', license: '', modelInfo: {} });
  }
  override onChange(listener: () => void) {
    this.told.add(listener);
    return () => this.told.delete(listener);
  }
  async start() {
    this.lives++;
  }
  stop() {
    this.lives--;
  }
  async refresh() {
    this.looks++;
  }
}

const call = (model: string) => ({ model, input: { kind: 'generate', prompt: 'x' } as const, resume: undefined });
const inMemory = (name: string): LoadedModel => ({
  name,
  vramBytes: 0,
  sizeBytes: 1,
  expiresAt: undefined,
  contextLength: 1,
});

describe('engines as one', () => {
  const stage = () => {
    const a = new Part('a', ['one:latest', 'both:latest']);
    const b = new Part('b', ['both:latest', 'two:latest']);
    return { a, b, all: combineEngines([a, b], 'auto') };
  };

  it('have the models of all, and the first one’s where two have it', () => {
    const { all } = stage();
    expect(all.models().map((model) => [model.name, model.digest[0]])).toEqual([
      ['both:latest', 'a'],
      ['one:latest', 'a'],
      ['two:latest', 'b'],
    ]);
  });

  it('answer each with the engine that has the model', async () => {
    const { a, b, all } = stage();
    await hear(all.run(call('two:latest'), never));
    await hear(all.run(call('both:latest'), never));
    expect(a.calls.map((each) => each.model)).toEqual(['both:latest']);
    expect(b.calls.map((each) => each.model)).toEqual(['two:latest']);
    expect((await all.describe('two:latest', never)).template).toBe('b');
    a.names = [];
    expect((await all.describe('both:latest', never)).template).toBe('b');
  });

  it('let the one that is there say that nobody has a model', async () => {
    const { a, all } = stage();
    a.state = 'unreachable';
    expect((await all.describe('nobody:latest', never)).template).toBe('b');
  });

  it('stand as the one stands that serves, else as the preferred one', () => {
    const { a, b, all } = stage();
    expect(all.status().version).toBe('a');
    [a.names, a.state] = [[], 'unreachable'];
    expect(all.status()).toMatchObject({ version: 'b', state: 'ready', hint: undefined });
    b.names = [];
    expect(all.status()).toMatchObject({ version: 'a', state: 'unreachable', hint: 'start a' });
  });

  it('say what is in memory, whoever of them does not answer', async () => {
    const { a, b, all } = stage();
    a.inMemory = [inMemory('both:latest')];
    b.inMemory = [inMemory('both:latest'), inMemory('two:latest')];
    expect((await all.loaded(never)).map((model) => model.name)).toEqual(['both:latest', 'two:latest']);
    a.inMemory = new GoGridError({ code: 'engine_unavailable', message: 'away' });
    expect((await all.loaded(never)).map((model) => model.name)).toEqual(['two:latest']);
  });

  it('live, look and tell together', async () => {
    const { a, b, all } = stage();
    const told = vi.fn();
    const stopListening = all.onChange(told);
    await all.start();
    await all.refresh();
    expect([a.lives, b.lives, a.looks, b.looks]).toEqual([1, 1, 1, 1]);
    for (const part of [a, b]) for (const tell of part.told) tell();
    expect(told).toHaveBeenCalledTimes(2);
    stopListening();
    all.stop();
    expect([a.lives, b.lives, a.told.size, b.told.size]).toEqual([0, 0, 0, 0]);
  });
});
