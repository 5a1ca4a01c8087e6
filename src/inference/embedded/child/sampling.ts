/** Ollama's sampling options as those of the library. Pure. */

import type { Options } from '../../../protocol/job.ts';

/** How the next token is chosen; the names are node-llama-cpp's. */
export interface Sampling {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
  /** Tokens that count as said lately; 0 turns the penalties off, -1 means the whole context. */
  readonly lastTokens: number;
  readonly penalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
}

/** Ollama's defaults (api/types.go), so that a model speaks alike on both engines. */
const DEFAULTS = {
  temperature: 0.8,
  top_k: 40,
  top_p: 0.9,
  min_p: 0,
  repeat_last_n: 64,
  repeat_penalty: 1.1,
  frequency_penalty: 0,
  presence_penalty: 0,
};

/** @param random a number from 0 to 1, for requests that name no seed */
export function samplingOf(options: Options | undefined, random: number): Sampling {
  const number = (name: keyof typeof DEFAULTS, min: number, max: number): number => {
    const given = options?.[name];
    const value = typeof given === 'number' && Number.isFinite(given) ? given : DEFAULTS[name];
    return Math.min(max, Math.max(min, value));
  };
  const seed = options?.seed;
  return {
    temperature: number('temperature', 0, 100),
    topK: Math.round(number('top_k', 0, 1_000_000)),
    topP: number('top_p', 0, 1),
    minP: number('min_p', 0, 1),
    seed: typeof seed === 'number' && seed >= 0 ? Math.floor(seed) % 2 ** 32 : Math.floor(random * 2 ** 32),
    lastTokens: Math.round(number('repeat_last_n', -1, 65_536)),
    penalty: number('repeat_penalty', 0.01, 100),
    frequencyPenalty: number('frequency_penalty', -100, 100),
    presencePenalty: number('presence_penalty', -100, 100),
  };
}

/** Whether the same tokens always lead to the same next one. */
export function isGreedy(sampling: Sampling): boolean {
  return sampling.temperature === 0 || sampling.topK === 1;
}
