/** Errors of the process that runs a model, as the node hears of them. */

import type { ErrorCode } from '../../../errors.ts';
import { GoGridError } from '../../../errors.ts';
import { EMBEDDED } from '../../../limits/engine.ts';

export function failure(code: ErrorCode, message: string, hint?: string, cause?: unknown): GoGridError {
  return new GoGridError({ code, message, ...(hint !== undefined && { hint }), cause });
}

export const CANCELLED = failure('cancelled', 'the call was cancelled');

const MEMORY = /\bV?RAM\b|memory|failed to allocate/i;

/** What the library threw while it did something for a model, as an error that names it. */
export function fromLibrary(what: string, model: string, thrown: unknown): GoGridError {
  if (thrown instanceof GoGridError) return thrown;
  const said = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  if (MEMORY.test(said)) {
    return failure(
      'engine_out_of_memory',
      `${model} does not fit into memory`,
      'choose a smaller model or a smaller num_ctx, or end other programs',
      thrown,
    );
  }
  return failure(
    'engine_failed',
    `the embedded engine ${what} (${model}): ${said.slice(0, EMBEDDED.maxMessageChars)}`,
    'try again; if it happens every time, the model file is damaged or of a kind that this version does not know',
    thrown,
  );
}
