/** Logging a defect of the program. */

import { systemCode } from '../errors.ts';
import { SHOWN } from '../limits/program.ts';
import type { LogFields, Logger } from './logger.ts';

/** Where it broke, and no message: that may quote what was being read, and so the text of a prompt. */
export function logDefect(log: Logger, thrown: unknown, fields: LogFields = {}): void {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  const stack = cause instanceof Error ? (cause.stack ?? '') : '';
  const frames = stack.split('\n').filter((line) => line.startsWith('    at '));
  const name = cause instanceof Error ? cause.name : typeof cause;
  const code = systemCode(thrown);
  log.error(
    { ...fields, name, ...(code !== undefined && { code }), frames: frames.slice(0, SHOWN.maxFrames) },
    'a defect',
  );
}
