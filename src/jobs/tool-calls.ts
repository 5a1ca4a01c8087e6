import type { ToolCall } from '../protocol/job.ts';

/** Characters of tool calls: what an engine wrote of them, or will read. */
export function charsInCalls(calls: readonly ToolCall[] | undefined): number {
  let chars = 0;
  for (const call of calls ?? []) chars += call.name.length + call.arguments.length;
  return chars;
}
