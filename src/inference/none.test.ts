import { expect, it } from 'vitest';
import { hearFailure, never } from './acceptance/stage.ts';
import { createNoEngine } from './none.ts';

it('has no models, and says who has', async () => {
  const engine = createNoEngine();
  expect(engine.models()).toEqual([]);
  expect(engine.status()).toEqual({ state: 'ready', version: '', hint: undefined });
  await expect(engine.describe('m', never)).rejects.toMatchObject({ code: 'model_not_found' });
  const { error } = await hearFailure(engine.run({ model: 'm', input: { kind: 'load' }, resume: undefined }, never));
  expect(error).toMatchObject({ code: 'engine_unavailable', hint: expect.stringContaining('engine.kind') });
});
