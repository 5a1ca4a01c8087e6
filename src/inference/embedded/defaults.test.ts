import { expect, it } from 'vitest';
import { STARTER } from '../store/catalogue.ts';
import { defaultsText, defaultTemplate, withDefaults } from './defaults.ts';

const OTHER = 'ab'.repeat(32);

it('what a request names counts over what its model has', () => {
  expect(withDefaults(STARTER.sha256, undefined)).toEqual({ temperature: 0.2, top_p: 0.9, num_predict: 512 });
  expect(withDefaults(STARTER.sha256, { temperature: 1, num_predict: -1, top_p: null as never })).toEqual({
    temperature: 1,
    top_p: 0.9,
    num_predict: -1,
  });
  expect(withDefaults(OTHER, { seed: 1 })).toEqual({ seed: 1 });
});

it('the starter’s template puts no system message in front of a conversation', () => {
  expect(defaultTemplate(STARTER.sha256)).not.toContain('helpful AI assistant');
  expect(defaultTemplate(OTHER)).toBeUndefined();
});

it('defaults are shown as Ollama shows parameters', () => {
  expect(defaultsText(STARTER.sha256)).toMatch(/^temperature +0\.2\ntop_p +0\.9\nnum_predict +512$/);
  expect(defaultsText(OTHER)).toBe('');
});
