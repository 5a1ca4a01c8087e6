/** Says on standard error what went wrong. */

import { toGoGridError } from '../errors.ts';
import { spelled } from './program.ts';
import { jsonFor, painter, printableLines } from './text.ts';
import type { World } from './world.ts';

/** Prints an error on standard error. @returns its exit code */
export function reportError(world: Pick<World, 'stderr' | 'env' | 'program'>, thrown: unknown, json: boolean): number {
  const error = toGoGridError(thrown);
  const message = spelled(error.message, world.program);
  const hint = error.hint === undefined ? undefined : spelled(error.hint, world.program);
  if (json) {
    const body = { code: error.code, message, ...(hint === undefined ? {} : { hint }) };
    world.stderr.write(`${jsonFor(world.stderr, JSON.stringify({ error: body }))}\n`);
    return error.exit;
  }
  const paint = painter(world, world.stderr);
  world.stderr.write(`${paint('red', 'error:')} ${printableLines(message)}\n`);
  if (hint !== undefined) world.stderr.write(`${paint('dim', 'hint:')}  ${printableLines(hint)}\n`);
  if (error.code === 'internal' && error.cause instanceof Error) {
    world.stderr.write(`${printableLines(error.cause.stack ?? error.cause.message)}\n`);
  }
  return error.exit;
}
