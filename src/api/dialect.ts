/** Errors in the dialect of the surface that was called: OpenAI's, Ollama's, or our own. */

import type { OutgoingHttpHeaders } from 'node:http';
import type { ErrorBody } from '../contract/control.ts';
import type { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';

export type Dialect = 'openai' | 'ollama' | 'control';

const SURFACE = /^\/+(v1|api)(?=[/?]|$)/;

/** The dialect for a path, whether there is anything at it or not. */
export function dialectOf(url: string): Dialect {
  const surface = SURFACE.exec(url)?.[1];
  if (surface === 'v1') return 'openai';
  // Ollama's clients call `/` too.
  return surface === 'api' || url === '/' || url === '' ? 'ollama' : 'control';
}

/** An error as an answer. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string;
}

export function errorAnswer(dialect: Dialect, error: GoGridError): ErrorAnswer {
  return {
    status: error.status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...retryHeaders(error), ...jobHeader(error) },
    body: errorBody(dialect, error),
  };
}

/** The error as JSON text, also for the middle of a stream. */
export function errorBody(dialect: Dialect, error: GoGridError): string {
  switch (dialect) {
    case 'openai':
      return JSON.stringify({
        error: {
          message: sentence(error),
          type: openAiType(error),
          param: typeof error.data.field === 'string' ? error.data.field : null,
          code: error.code,
          ...jobField(error),
        },
      });
    case 'ollama':
      return JSON.stringify(ollamaBody(error));
    case 'control':
      return JSON.stringify(controlBody(error));
  }
}

/** Of a 401 Ollama's command line shows this second field alone; without it, "see the ollama server logs". */
function ollamaBody(error: GoGridError): object {
  const text = sentence(error);
  if (error.status === 401) return { error: text, status: text };
  const job = jobField(error);
  return job.jobId === undefined ? { error: text } : { error: text, code: error.code, ...job };
}

function controlBody(error: GoGridError): ErrorBody {
  const { code, message, hint } = error;
  return { error: { code, message, ...(hint !== undefined && { hint }), ...jobField(error) } };
}

/** Of an error of a job: `GET /jobs/<id>` tells what became of it. */
function jobField({ data }: GoGridError): { jobId?: string } {
  return typeof data.job === 'string' ? { jobId: data.job } : {};
}

function jobHeader({ data }: GoGridError): OutgoingHttpHeaders {
  return typeof data.job === 'string' ? { 'x-gogrid-job': data.job } : {};
}

/**
 * One text for dialects that have no place for a hint. Programs match two of them: `model 'X' not found` exactly, and busy
 * answers by the word `overloaded` at the beginning.
 */
function sentence(error: GoGridError): string {
  if (error.code === 'model_not_found') return error.message;
  const text = error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
  return error.code === 'overloaded' && !text.startsWith('overloaded') ? `overloaded: ${text}` : text;
}

function openAiType(error: GoGridError): string {
  switch (error.status) {
    case 401:
      return 'authentication_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 503:
      return 'overloaded_error';
    case 504:
      return 'timeout_error';
    default:
      return error.status < 500 ? 'invalid_request_error' : 'api_error';
  }
}

/**
 * The SDKs retry every status from 500 on, and obey `Retry-After` without a bound of their own. What a policy refuses is told
 * never to be sent again: another try changes nothing.
 */
function retryHeaders(error: GoGridError): OutgoingHttpHeaders {
  if (error.status === 401) return { 'www-authenticate': 'Bearer' };
  if (error.code === 'privacy_unserved') return { 'x-should-retry': 'false' };
  if (error.status < 500) return {};
  if (!error.retry) return { 'x-should-retry': 'false' };
  if (error.status !== 503) return { 'x-should-retry': 'true' };
  const secs = Math.ceil(error.retryAfterSecs ?? JOB.minRetryAfterSecs);
  const bounded = Math.min(JOB.maxRetryAfterSecs, Math.max(JOB.minRetryAfterSecs, secs));
  return { 'x-should-retry': 'true', 'retry-after': String(bounded) };
}
