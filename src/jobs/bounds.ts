/** What a provider accepts of a stranger's request: the machine comes first. Pure. */

import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { JobInput, JobRequest, Options } from '../protocol/job.ts';
import type { EngineModel } from './ports.ts';

/** Options that steer the answer and not the machine; the rest only its owner sets. */
const ANSWER_OPTIONS = new Set([
  'num_ctx',
  'num_predict',
  'num_keep',
  'seed',
  'stop',
  'temperature',
  'top_k',
  'top_p',
  'min_p',
  'typical_p',
  'tfs_z',
  'repeat_last_n',
  'repeat_penalty',
  'presence_penalty',
  'frequency_penalty',
  'mirostat',
  'mirostat_tau',
  'mirostat_eta',
  'penalize_newline',
]);

/**
 * A peer's input without what would steer this machine: options of the hardware, how long the model stays loaded, a context
 * beyond the model's own, which would fill the memory, and an answer without an end.
 * @param model `contextLength` in tokens; 0 when not known, and then the engine's own default holds
 * @throws GoGridError `unsupported` when it asks to unload the model: without its `keepAlive` it would load it
 */
export function boundInput(
  input: JobInput,
  { contextLength, outputLimit }: Pick<EngineModel, 'contextLength' | 'outputLimit'>,
): JobInput {
  const { keepAlive, options, ...rest } = input;
  if (input.kind === 'load' && keepAlive === 0) {
    throw new GoGridError({ code: 'unsupported', message: 'a machine unloads its models for nobody but its owner' });
  }
  const kept: Options = {};
  for (const [name, value] of Object.entries(options ?? {})) {
    if (!ANSWER_OPTIONS.has(name) || value === null) continue;
    if (name !== 'num_ctx') kept[name] = value;
    else if (typeof value === 'number' && contextLength > 0) kept[name] = Math.min(value, contextLength);
  }
  // Without a word of the request the model's own bound holds, here as at its requester.
  const isBound = kept.num_predict === undefined && outputLimit !== undefined;
  if ((input.kind === 'chat' || input.kind === 'generate') && !isBound) {
    const most = contextLength > 0 ? contextLength : JOB.maxOutputTokens;
    kept.num_predict = Math.min(outputLimitOf({ options: kept }) ?? most, most);
  }
  return { ...rest, ...(Object.keys(kept).length > 0 && { options: kept }) } as JobInput;
}

/** Output tokens that a request allows; undefined without a limit, and for Ollama 0 and less mean just that. */
export function outputLimitOf({ options }: Pick<JobInput, 'options'>): number | undefined {
  const wanted = options?.num_predict;
  return typeof wanted === 'number' && wanted > 0 ? wanted : undefined;
}

/**
 * Checks what holds for every request, the owner's too.
 * @throws GoGridError `invalid_request` naming the field
 */
export function checkRequest(request: Pick<JobRequest, 'input'>): void {
  const stops = stopsOf(request.input);
  if (stops.length > JOB.maxStopSequences) {
    throw tooMuch('stop', `${stops.length} sequences`, `at most ${JOB.maxStopSequences}`);
  }
  const long = stops.find((stop) => stop.length > JOB.maxStopChars);
  if (long !== undefined) {
    throw tooMuch('stop', `a sequence of ${long.length} characters`, `at most ${JOB.maxStopChars}`);
  }
}

/** The request's stop sequences, without empty ones. */
export function stopsOf(input: JobInput): readonly string[] {
  const stop = input.options?.stop;
  const list = typeof stop === 'string' ? [stop] : Array.isArray(stop) ? stop : [];
  return list.filter((text) => text !== '');
}

function tooMuch(field: string, what: string, allowed: string): GoGridError {
  return new GoGridError({ code: 'invalid_request', message: `${field}: ${what}, ${allowed} are accepted` });
}
