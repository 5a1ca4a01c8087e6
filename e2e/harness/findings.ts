/** What a node's outputs and logs may not hold. */

import type { NodeProcess } from './node-process.ts';

/** Signs of a defect, in what a process printed or logged. */
const DEFECTS: readonly RegExp[] = [
  // Node's own last words, and its warnings: leaking listeners, unhandled rejections, deprecated calls.
  /^Node\.js v\d+/m,
  /^\(node:\d+\) .*/m,
  /Uncaught|unhandled rejection|UnhandledPromiseRejection|unexpected error/i,
  /MaxListenersExceeded/,
  // Exceptions that no one meant to throw, caught somewhere.
  /\b(TypeError|RangeError|ReferenceError|SyntaxError|AssertionError)\b/,
  /"code":"internal"/,
  /"message":"a defect"/,
  /a job cannot go from/,
];

/**
 * Looks through everything that a node has printed and logged.
 * @throws Error with the lines that tell of a defect
 */
export async function expectHealthy(node: NodeProcess): Promise<void> {
  const defects = defectsIn(`${node.stderr}\n${await node.log()}`);
  if (defects.length > 0) {
    throw new Error(`${node.name} has a defect:\n${defects.slice(0, 5).join('\n').slice(0, 4000)}`);
  }
  const printed = node.stdout.split('\n').filter((line) => line !== '');
  if (printed.length !== 1) {
    throw new Error(`${node.name} printed ${printed.length} lines on stdout instead of one: ${printed.join('\n')}`);
  }
}

/** The lines of a text that tell of a defect, each once. */
export function defectsIn(text: string): string[] {
  const lines = text.split('\n').filter((line) => DEFECTS.some((sign) => sign.test(line)));
  return [...new Set(lines)];
}
