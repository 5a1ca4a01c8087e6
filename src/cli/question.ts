/** A yes-or-no question to whoever sits at the terminal. */

import type { Call } from './command.ts';

/** Whether somebody is there to answer: a program is not. */
export function canAsk({ world, json }: Pick<Call, 'world' | 'json'>): boolean {
  return world.stdin.isTty && world.stdout.isTty && !json;
}

/** Whether the answer is yes; everything but `y` and `yes` is no. */
export async function confirmed({ world }: Pick<Call, 'world'>, question: string): Promise<boolean> {
  const lines = world.lines();
  try {
    const typed = await lines.ask(question);
    return typed.kind === 'line' && /^y(es)?$/i.test(typed.text.trim());
  } finally {
    lines.close();
  }
}
