/** How fast models run, measured from the usage of finished jobs: at a provider of its own, at a requester of each peer's. */

import { ROUTING } from '../limits/jobs.ts';
import type { JobInput, JobUsage } from '../protocol/job.ts';
import { type ModelRates, UNKNOWN_RATES } from '../protocol/profile.ts';
import { mean } from './mean.ts';

/** A job that ran to its end. */
export interface Ran {
  readonly input: JobInput;
  readonly usage: Omit<JobUsage, 'type'>;
}

/** The rates before, moved towards what one job showed. What it says nothing about stays as it was. */
export function learn(before: ModelRates, { input, usage }: Ran): ModelRates {
  const { promptTokens, outputTokens, loadMs, prefillMs, decodeMs } = usage;
  const decodes = outputTokens >= ROUTING.minOutputTokens && decodeMs > 0;
  const reads = promptTokens >= ROUTING.minPromptTokens && prefillMs > 0 && beginsAnew(input);
  return {
    tokensPerSecond: decodes
      ? meanRate(before.tokensPerSecond, (outputTokens * 1000) / decodeMs)
      : before.tokensPerSecond,
    prefillTokensPerSecond: reads
      ? meanRate(before.prefillTokensPerSecond, (promptTokens * 1000) / prefillMs)
      : before.prefillTokensPerSecond,
    loadMs: loadMs >= ROUTING.minLoadMs ? mean(before.loadMs, loadMs) : before.loadMs,
  };
}

/** The running mean of the time that a token takes: however high one rate is, it makes the others little better. */
function meanRate(before: number, newest: number): number {
  return before === 0 ? newest : 1 / mean(1 / before, 1 / newest);
}

/**
 * Whether the engine has to read the whole prompt. Of a conversation that goes on it has the beginning in memory, and counts
 * its tokens all the same: the rate would be many times too good.
 */
function beginsAnew(input: JobInput): boolean {
  return input.kind !== 'chat' || input.messages.every(({ role }) => role === 'system' || role === 'user');
}

/** The rates of this machine's own models, as it tells them: they change in steps, since every change goes to the whole mesh. */
export class OwnRates {
  readonly #rates = new Map<string, { readonly now: ModelRates; readonly told: ModelRates }>();

  /** @param model canonical name */
  of(model: string): ModelRates {
    return this.#rates.get(model)?.told ?? UNKNOWN_RATES;
  }

  /** @returns whether what is told of the model is another now */
  measured(model: string, job: Ran): boolean {
    const before = this.#rates.get(model);
    const now = learn(before?.now ?? UNKNOWN_RATES, job);
    const told = before !== undefined && isAbout(before.told, now) ? before.told : now;
    this.#rates.set(model, { now, told });
    return told !== before?.told;
  }
}

function isAbout(told: ModelRates, now: ModelRates): boolean {
  const near = (a: number, b: number) => Math.max(a, b) <= Math.min(a, b) * ROUTING.tellFactor;
  return (
    near(told.tokensPerSecond, now.tokensPerSecond) &&
    near(told.prefillTokensPerSecond, now.prefillTokensPerSecond) &&
    near(told.loadMs, now.loadMs)
  );
}
