/** Pulls of models: what the API says of them, and the lines that it streams while one runs. */

import { z } from 'zod';

const uint = z.int().nonnegative();

export const pullState = z.object({
  model: z.string().describe('as it was asked for'),
  /** `done`, `failed` and `cancelled` are ends. */
  state: z.enum([
    'starting',
    'waiting',
    'copying',
    'downloading',
    'unpacking',
    'checking',
    'done',
    'failed',
    'cancelled',
  ]),
  status: z.string().describe('the same for people, in a few words'),
  source: z.string().describe('where it comes from, such as `Ollama`; empty before one is found'),
  digest: z.string().nullable().describe('of the layer, when the source names one'),
  bytes: uint.describe('of totalBytes, in this step'),
  totalBytes: uint.describe('0 when not known'),
  bytesPerSecond: z.number().nullable(),
  secondsLeft: z.number().nullable(),
  startedAt: uint.describe('milliseconds since 1970'),
  endedAt: uint.nullable(),
  error: z.string().nullable().describe('why it failed'),
});

/** Running ones, then the last ones that ended. */
export const pullList = z.object({ pulls: z.array(pullState) });

export const pullRequest = z.object({
  model: z.string().describe('a name of the catalogue, or one that Ollama knows'),
  stream: z.boolean().nullish().describe('false: one answer when it is over'),
});

/** The last line of a pull that went well, and its whole answer without a stream. */
export const pullSuccess = z.object({ status: z.literal('success'), model: z.string(), source: z.string() });

/** A line while it runs; the stream ends with `{"status":"success"}` or with an error. */
export const pullLine = z.union([pullSuccess, pullState]);

export const modelRemoved = z.object({ status: z.literal('removed'), model: z.string() });

export type PullState = z.infer<typeof pullState>;
export type PullList = z.infer<typeof pullList>;
export type PullSuccess = z.infer<typeof pullSuccess>;
export type ModelRemoved = z.infer<typeof modelRemoved>;
