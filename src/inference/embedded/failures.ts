/** What goes wrong with the embedded engine, as sentences for people. */

import { type ErrorCode, GoGridError, reasonOf } from '../../errors.ts';

const LIBRARY_HINT =
  'the embedded engine needs a platform that node-llama-cpp has a package for (Linux with glibc 2.34 or newer, macOS, ' +
  'Windows), installed with its optional packages; use Ollama on this machine (https://ollama.com/download), or the models ' +
  'of other machines';

/** The library cannot be used on this machine. */
export function unusable(why: string): GoGridError {
  return new GoGridError({
    code: 'engine_unavailable',
    message: `the embedded engine cannot be loaded on this machine: ${why}`,
    hint: LIBRARY_HINT,
  });
}

/** The process ended in the middle of something. */
export function died(how: string): GoGridError {
  return failed(`the process of the embedded engine ended (${how})`);
}

/** @param hint in place of the usual one */
export function failed(message: string, code: ErrorCode = 'engine_failed', hint?: string): GoGridError {
  const advice = hint ?? (code === 'engine_failed' ? FAILED_HINT : undefined);
  return new GoGridError({ code, message, ...(advice !== undefined && { hint: advice }) });
}

const FAILED_HINT =
  'try again; if it happens every time, the model is too large for this machine, or its file is damaged';

/** It died too often to be started again at once. */
export function resting(times: number, waitMs: number): GoGridError {
  const secs = Math.max(1, Math.ceil(waitMs / 1000));
  return new GoGridError({
    code: 'engine_unavailable',
    message: `the process of the embedded engine ended ${times} times in a row; it is started again in ${secs} s`,
    hint: CRASH_HINT,
    retryAfterSecs: secs,
  });
}

export const CRASH_HINT =
  'end other programs if memory is short (`dmesg` tells), try a smaller model, or use Ollama (https://ollama.com/download)';

export function notFound(model: string): GoGridError {
  return new GoGridError({
    code: 'model_not_found',
    message: `model '${model}' not found`,
    hint: '`gogrid models pull NAME` gets a model; `gogrid models` lists those that are there',
  });
}

/** Waits that an abort of `signal` ends at once, with its reason. `done` when nothing waits any more. */
export function interrupted(signal: AbortSignal) {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const abort = () => reject(reasonOf(signal));
  signal.addEventListener('abort', abort, { once: true });
  return {
    orElse: <T>(wait: Promise<T>): Promise<T> => {
      wait.catch(() => undefined);
      return Promise.race([wait, promise]);
    },
    done: () => signal.removeEventListener('abort', abort),
  };
}
