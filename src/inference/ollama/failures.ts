/**
 * What went wrong in Ollama, as a `GoGridError`. The texts are the daemon's own (checked against 0.24 and read in the
 * source of 0.33); a text that no rule knows stays `engine_failed` and is passed on, cut.
 */

import { type ErrorCode, GoGridError, systemCode } from '../../errors.ts';
import { ENGINE } from '../../limits/engine.ts';

/** How to get an Ollama that answers. */
export function startHint(url: string): string {
  return (
    `start Ollama (\`ollama serve\`, or its desktop app), or install it from https://ollama.com/download; ` +
    `engine.ollama_url says where it is looked for, now ${url}`
  );
}

/** No connection can be had: nobody listens there, or the address leads nowhere. */
const NOBODY_THERE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
]);

/** Whether `thrown` says that no daemon listens at the address. */
export function isNobodyThere(thrown: unknown): boolean {
  return NOBODY_THERE.has(systemCode(thrown) ?? '');
}

/** The error for a daemon that is not there. */
export function unavailable(url: string, cause?: unknown): GoGridError {
  const code = systemCode(cause);
  return new GoGridError({
    code: 'engine_unavailable',
    message: `Ollama does not answer at ${url}${code === undefined ? '' : ` (${code})`}`,
    hint: startHint(url),
    retryAfterSecs: ENGINE.overloadedRetrySecs,
    cause,
  });
}

/** The error for an answer that broke, stopped or made no sense. */
export function failed(message: string, cause?: unknown): GoGridError {
  return new GoGridError({
    code: 'engine_failed',
    message,
    hint: "Ollama's own log says more (`journalctl -u ollama`, or ~/.ollama/logs/server.log)",
    cause,
  });
}

const MEMORY =
  /system memory|out of memory|not enough memory|insufficient memory|cudaMalloc|unable to allocate|failed to allocate|signal: killed|OutOfDeviceMemory/i;
/** The process that holds the model ended while loading it and named no reason: in practice memory. */
const RUNNER_ENDED = /runner process has terminated(: exit status \d+| with exit code -?\d+)?\s*$/i;
const TOO_LONG = /exceeds? (the )?(available |maximum )?context|prompt is too long|input .*too (long|large)/i;
const BUSY = /server busy|maximum pending requests/i;
const NOT_FOUND = /^model ['"].*['"] not found|try pulling it first/i;
const PAGE_NOT_FOUND = /^(404 )?page not found/i;
const UNSUPPORTED = /does not support|unsupported/i;
/** Ollama answers these with status 500 although the request is wrong. */
const BAD_REQUEST =
  /^(option ".*" must be|invalid (option|format|JSON schema|image|duration|message|think)|json: cannot)/i;

/**
 * The error for what Ollama said.
 * @param status HTTP status; undefined for an error line inside an answer
 * @param text Ollama's `error` field
 */
export function fromOllama(status: number | undefined, text: string, model: string): GoGridError {
  const said = text.trim().slice(0, ENGINE.maxErrorChars);
  const error = (code: ErrorCode, message: string, hint?: string, retryAfterSecs?: number) =>
    new GoGridError({
      code,
      message,
      ...(hint !== undefined && { hint }),
      ...(retryAfterSecs !== undefined && { retryAfterSecs }),
    });
  if (status === 404 && PAGE_NOT_FOUND.test(said)) {
    return error('engine_failed', 'what answers there does not speak Ollama’s API', 'check engine.ollama_url');
  }
  if (status === 404 || NOT_FOUND.test(said)) {
    return error('model_not_found', `model '${model}' not found`, `\`ollama pull ${model}\` gets it`);
  }
  if (MEMORY.test(said) || RUNNER_ENDED.test(said)) {
    const hint = 'choose a smaller model or a smaller num_ctx, or unload other models (`ollama ps`, `ollama stop`)';
    return error(
      'engine_out_of_memory',
      `${model} does not fit into memory: ${said}`,
      hint,
      ENGINE.overloadedRetrySecs,
    );
  }
  if (status === 503 || BUSY.test(said)) {
    const hint = 'try again; OLLAMA_MAX_QUEUE sets how many requests Ollama lets wait';
    return error('overloaded', `overloaded: ${said || 'Ollama is busy'}`, hint, ENGINE.overloadedRetrySecs);
  }
  if (TOO_LONG.test(said)) {
    return error('prompt_too_long', `prompt is too long: ${said}`, 'shorten it, or raise the option num_ctx');
  }
  if (status === 400 && UNSUPPORTED.test(said)) return error('unsupported', said);
  if (status === 400 || status === 413 || status === 422 || BAD_REQUEST.test(said)) {
    return error('invalid_request', said || `Ollama refused the request (status ${status})`);
  }
  if (status === 401 || status === 403) {
    return error('engine_unavailable', `Ollama refuses this node (status ${status}): ${said}`);
  }
  const where = status === undefined ? 'in the middle of the answer' : `with status ${status}`;
  return failed(`Ollama failed ${where}${said === '' ? '' : `: ${said}`}`);
}

/**
 * Turns the failure of a connection into a `GoGridError`.
 * @param answered whether any part of the answer had come
 */
export function fromConnection(url: string, thrown: unknown, answered: boolean): GoGridError {
  if (thrown instanceof GoGridError) return thrown;
  if (!answered && isNobodyThere(thrown)) return unavailable(url, thrown);
  const when = answered ? 'in the middle of an answer' : 'before it answered';
  return failed(`Ollama closed the connection ${when}`, thrown);
}
