/** Runs a job for a client: streamed, or collected into one whole answer. The surfaces give it their shapes. */

import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../clock.ts';
import { type ErrorData, GoGridError, toGoGridError } from '../errors.ts';
import type { JobOutput, JobSpec, RunJob } from '../jobs/output.ts';
import { PRIVACY_TIERS, type PrivacyTier } from '../jobs/privacy.ts';
import { API } from '../limits/api.ts';
import type { JobInput, ToolCall } from '../protocol/job.ts';
import { logDefect } from '../telemetry/defect.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ClientStream, type StreamFrame } from './client-stream.ts';
import type { Exchange } from './exchange.ts';
import { jobHeaders, totalHeaders } from './job-headers.ts';

export type Placed = Extract<JobOutput, { type: 'placed' }>;
export type Chunk = Extract<JobOutput, { type: 'chunk' }>;
export type Done = Extract<JobOutput, { type: 'done' }>;

export interface JobDeps {
  readonly runJob: RunJob;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a surface writes a streamed answer. */
export interface AnswerFormat extends StreamFrame {
  /**
   * A provider took the job; called before anything else is written, and again for every further provider.
   * @returns what tells of a further one in the midst of the answer; empty for the first, which the headers name
   */
  placed(placed: Placed): string;
  /** Empty when there is nothing to tell the client. */
  chunk(chunk: Chunk): string;
  /** Everything that ends the stream. */
  done(done: Done): string;
}

/** Streams a job's answer. Never throws: whatever goes wrong reaches the client, or nobody is left to tell. */
export async function streamJob(exchange: Exchange, spec: JobSpec, format: AnswerFormat, deps: JobDeps): Promise<void> {
  const stream = new ClientStream(exchange, format, deps.clock);
  let complete = false;
  try {
    for await (const output of deps.runJob(spec, exchange.signal)) {
      switch (output.type) {
        case 'placed': {
          Object.assign(stream.headers, jobHeaders(output));
          const notice = format.placed(output);
          if (notice !== '') stream.write(notice);
          break;
        }
        case 'chunk': {
          const text = format.chunk(output);
          if (text === '') break;
          stream.write(text);
          if (stream.full) await stream.drained();
          break;
        }
        case 'done':
          // The loop goes on to the generator's own end: leaving it here would mean cancel.
          stream.end(format.done(output));
          complete = true;
          break;
      }
    }
    if (!complete) throw endless();
  } catch (thrown) {
    const error = jobError(exchange, spec, thrown);
    if (error.code === 'internal') logDefect(deps.log, error);
    if (!complete) stream.fail(error);
  } finally {
    stream.release();
  }
}

/** A whole answer. */
export interface WholeAnswer {
  readonly placed: Placed | undefined;
  readonly text: string;
  readonly thinking: string;
  readonly toolCalls: readonly ToolCall[];
  readonly vectors: readonly Vectors[];
  readonly done: Done;
}
type Vectors = Extract<JobOutput, { type: 'vectors' }>;

/**
 * Collects a job's answer.
 * @throws GoGridError why there is none
 */
export async function collectJob(exchange: Exchange, spec: JobSpec, { runJob }: JobDeps): Promise<WholeAnswer> {
  let placed: Placed | undefined;
  let done: Done | undefined;
  let text = '';
  let thinking = '';
  let bytes = 0;
  const toolCalls: ToolCall[] = [];
  const vectors: Vectors[] = [];
  try {
    for await (const output of runJob({ ...spec, whole: true }, exchange.signal)) {
      switch (output.type) {
        case 'placed':
          placed = output;
          setHeaders(exchange, jobHeaders(output));
          break;
        case 'chunk':
          text += output.text ?? '';
          thinking += output.thinking ?? '';
          if (output.toolCalls !== undefined) toolCalls.push(...output.toolCalls);
          bytes += (output.text?.length ?? 0) + (output.thinking?.length ?? 0);
          break;
        case 'vectors':
          vectors.push(output);
          bytes += output.data.length;
          break;
        case 'done':
          done = output;
          break;
      }
      if (bytes > API.maxWholeAnswerBytes) throw tooLong();
    }
    if (done === undefined) throw endless();
  } catch (thrown) {
    throw jobError(exchange, spec, thrown);
  }
  setHeaders(exchange, totalHeaders(done));
  return { placed, text, thinking, toolCalls, vectors, done };
}

/** On the response itself, so that an error that follows carries them too. */
function setHeaders({ response, gone }: Exchange, headers: Record<string, string>): void {
  if (gone) return;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

/**
 * What a request asks of the mesh, with what its headers say.
 * @param privacy the tier of requests that name none
 * @throws GoGridError `invalid_request` naming the header
 */
export function jobSpec(model: string, input: JobInput, headers: IncomingHttpHeaders, privacy: PrivacyTier): JobSpec {
  return { model, input, deadlineMs: deadlineOf(headers), privacy: tierOf(headers) ?? privacy };
}

function deadlineOf(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['x-gogrid-deadline-secs'];
  if (text === undefined) return undefined;
  const secs = typeof text === 'string' && /^[0-9]{1,6}(\.[0-9]{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (secs > 0 && secs <= API.maxDeadlineSecs) return Math.round(secs * 1000);
  throw new GoGridError({
    code: 'invalid_request',
    message: `x-gogrid-deadline-secs: '${String(text).slice(0, 40)}' is not a time to wait`,
    hint: `send seconds, more than 0 and at most ${API.maxDeadlineSecs}`,
    data: { field: 'x-gogrid-deadline-secs' },
  });
}

/** A word that is no tier is refused: whoever wrote it wanted something closed. */
function tierOf(headers: IncomingHttpHeaders): PrivacyTier | undefined {
  const text = headers['x-gogrid-privacy'];
  const tier = PRIVACY_TIERS.find((known) => known === text);
  if (tier !== undefined || text === undefined) return tier;
  throw new GoGridError({
    code: 'invalid_request',
    message: `x-gogrid-privacy: '${String(text).slice(0, 40)}' is not a tier`,
    hint: 'send local, own, friends or mesh',
    data: { field: 'x-gogrid-privacy' },
  });
}

/** The error as the client should read it: with the model's name as it wrote it, and the reason when the node ended it. */
function jobError(exchange: Exchange, spec: JobSpec, thrown: unknown): GoGridError {
  const error = exchange.endedBy ?? toGoGridError(thrown);
  if (error.code !== 'model_not_found') return error;
  return modelNotFound(spec.model, error.hint, error.data);
}

/** Clients look for these very words. */
export function modelNotFound(
  model: string,
  hint = 'gogrid models lists what the mesh has',
  data: ErrorData = {},
): GoGridError {
  return new GoGridError({
    code: 'model_not_found',
    message: `model '${model.slice(0, 200)}' not found`,
    hint,
    data: { ...data, field: 'model' },
  });
}

function endless(): GoGridError {
  return new GoGridError({ code: 'engine_failed', message: 'the answer stopped without its end' });
}

function tooLong(): GoGridError {
  return new GoGridError({
    code: 'engine_failed',
    message: `the answer is longer than ${API.maxWholeAnswerBytes} bytes`,
    hint: 'ask for a stream, or set max_tokens',
  });
}
