/**
 * What the node and the process that runs a model say to one another. Both check what they get: the process handles files
 * and prompts from elsewhere in native code, and is not believed.
 *
 * The process says `ready` or `unusable` once it has its library; then it is told to `load`, and says `loaded` or `error`.
 * From then on it runs one call at a time: `run`, then `progress`, `chunk` and `vectors` in any number, and `done` or
 * `error` at the end, after a `cancel` too. It sends a `chunk` or `vectors` only for a credit.
 */

import { z } from 'zod';
import { JOB } from '../../limits/jobs.ts';
import { FINISH_REASONS, jobInput, PHASES } from '../../protocol/job.ts';

const uint = z.int().nonnegative();

/* ---- to the process ---- */

const load = z.object({
  type: z.literal('load'),
  path: z.string(),
  /** How a model is named to people. */
  name: z.string(),
  /** The chat template, when it is not the file's own. */
  template: z.string().optional(),
  threads: z.int().positive(),
  /** Tokens that are read in one step. */
  promptStep: z.int().positive(),
});
const run = z.object({
  type: z.literal('run'),
  id: uint,
  input: jobInput,
  resume: z.object({ text: z.string(), tokens: uint }).optional(),
  /** Tokens. */
  contextLength: z.int().positive(),
  credits: uint,
});
const credit = z.object({ type: z.literal('credit'), id: uint, count: z.int().positive() });
const cancel = z.object({ type: z.literal('cancel'), id: uint });

export const toProcess = z.discriminatedUnion('type', [load, run, credit, cancel]);
export type ToProcess = z.infer<typeof toProcess>;
export type LoadOrder = z.infer<typeof load>;
export type RunOrder = z.infer<typeof run>;

/* ---- from the process ---- */

const ready = z.object({ type: z.literal('ready'), version: z.string().max(40) });
/** The library cannot be used on this machine; the process ends. */
const unusable = z.object({ type: z.literal('unusable'), message: z.string().max(1000) });
const loaded = z.object({
  type: z.literal('loaded'),
  /** Milliseconds. */
  loadMs: uint,
  /** Bytes in memory. */
  sizeBytes: uint,
});
const progress = z.object({ type: z.literal('progress'), id: uint, phase: z.enum(PHASES) });
const chunk = z.object({
  type: z.literal('chunk'),
  id: uint,
  tokens: uint,
  text: z.string().max(JOB.maxChunkBytes),
});
const vectors = z.object({
  type: z.literal('vectors'),
  id: uint,
  dimensions: z.int().positive(),
  data: z.instanceof(Uint8Array).refine((data) => data.length <= JOB.maxChunkBytes * 8),
});
const done = z.object({
  type: z.literal('done'),
  id: uint,
  reason: z.enum(FINISH_REASONS),
  usage: z.object({ promptTokens: uint, outputTokens: uint, loadMs: uint, prefillMs: uint, decodeMs: uint }),
});
/** Ends a run, or the loading when it has no `id`. */
const error = z.object({
  type: z.literal('error'),
  id: uint.optional(),
  code: z.string().max(64),
  message: z.string().max(1000),
  hint: z.string().max(1000).optional(),
});

export const fromProcess = z.discriminatedUnion('type', [
  ready,
  unusable,
  loaded,
  progress,
  chunk,
  vectors,
  done,
  error,
]);
export type FromProcess = z.infer<typeof fromProcess>;
export type ErrorMessage = z.infer<typeof error>;
