/** What may be done with an answer whose provider is gone: the one place where that is decided. */

import { JOB } from '../limits/jobs.ts';
import type { ChatInput, GenerateInput, JobInput, JobRequest } from '../protocol/job.ts';

type TextInput = ChatInput | GenerateInput;

/** What the client already has. */
export interface Delivered {
  readonly text: string;
  readonly tokens: number;
  readonly thinking: boolean;
  readonly toolCalls: boolean;
}

export type Plan =
  /** Nothing reached the client: ask anybody, from the beginning. */
  | { readonly kind: 'restart' }
  | { readonly kind: 'continue'; readonly resume: NonNullable<JobRequest['resume']> }
  | { readonly kind: 'impossible'; readonly why: string };

/** Decides from the request and from what the client has of its answer. */
export function planResume(input: JobInput, delivered: Delivered): Plan {
  const nothing = delivered.text === '' && !delivered.thinking && !delivered.toolCalls;
  if (nothing || input.kind === 'embed' || input.kind === 'load') return { kind: 'restart' };
  const why = obstacle(input, delivered);
  if (why !== undefined) return { kind: 'impossible', why };
  return { kind: 'continue', resume: { text: delivered.text.trimEnd(), tokens: delivered.tokens } };
}

/** Why a plain text prefix does not carry this answer's state; undefined when it does. */
function obstacle(input: TextInput, delivered: Delivered): string | undefined {
  if (delivered.thinking) return 'part of its reasoning was already shown';
  if (delivered.toolCalls) return 'it had already called a tool';
  if (delivered.text.length > JOB.maxResumeChars) return 'it is too long to be handed on';
  return requestObstacle(input);
}

/** Why no answer to this request can be continued from its text, whatever came of it; undefined when one can. */
export function requestObstacle(input: TextInput): string | undefined {
  if (input.format !== undefined && input.format !== null && input.format !== '') {
    return 'its grammar (format) cannot start in the middle';
  }
  if (input.kind === 'chat') {
    if (some(input.tools)) return 'a tool call cannot be recognised from the middle';
    if (input.messages.some((message) => some(message.images))) return 'it looks at images';
    return undefined;
  }
  if (some(input.images)) return 'it looks at images';
  if (input.suffix !== undefined && input.suffix !== '') return 'it fills in text before a suffix';
  if (some(input.context)) return 'it goes on from a token context';
  return undefined;
}

/** Clients send empty lists where they mean none. */
function some(list: readonly unknown[] | undefined): boolean {
  return list !== undefined && list.length > 0;
}
