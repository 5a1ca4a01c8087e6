/** What may be done with an answer whose provider is gone: the one place where that is decided. */

import { JOB } from '../limits/jobs.ts';
import type { ChatInput, FinishReason, GenerateInput, JobInput, JobRequest } from '../protocol/job.ts';
import { outputLimitOf } from './bounds.ts';

type TextInput = ChatInput | GenerateInput;

/** What there is of the answer. */
export interface Delivered {
  readonly text: string;
  /** Without those of the white space at the end of the text. */
  readonly tokens: number;
  readonly thinking: boolean;
  readonly toolCalls: boolean;
}

export type Plan =
  /** Nothing of it is with the client: ask anybody, from the beginning. */
  | { readonly kind: 'restart' }
  | { readonly kind: 'continue'; readonly resume: NonNullable<JobRequest['resume']> }
  /** Only the word that it is complete was missing. */
  | { readonly kind: 'complete'; readonly reason: FinishReason }
  | { readonly kind: 'impossible'; readonly why: string };

/**
 * Decides from the request and from what there is of its answer.
 * @param shown whether the client has that; of an answer that goes out in one piece at its end it has nothing
 */
export function planResume(input: JobInput, delivered: Delivered, shown = true): Plan {
  const nothing = delivered.text === '' && !delivered.thinking && !delivered.toolCalls;
  if (nothing || input.kind === 'embed' || input.kind === 'load') return { kind: 'restart' };
  const limit = outputLimitOf(input);
  if (limit !== undefined && delivered.tokens >= limit) return { kind: 'complete', reason: 'length' };
  const why = obstacle(input, delivered);
  if (why === undefined) {
    return { kind: 'continue', resume: { text: delivered.text.trimEnd(), tokens: delivered.tokens } };
  }
  return shown ? { kind: 'impossible', why } : { kind: 'restart' };
}

/** Why a plain text prefix does not carry this answer's state; undefined when it does. */
function obstacle(input: TextInput, delivered: Delivered): string | undefined {
  if (delivered.thinking) return 'part of its reasoning was already written';
  if (delivered.toolCalls) return 'it had already called a tool';
  if (delivered.text.length > JOB.maxResumeChars) return 'it is too long to be handed on';
  return requestObstacle(input);
}

/** Why no answer to this request can be continued from its text, whatever came of it; undefined when one can. */
export function requestObstacle(input: TextInput): string | undefined {
  if (input.format !== undefined && input.format !== null && input.format !== '') {
    return 'its grammar (format) cannot start in the middle';
  }
  // With `think` unset the engine decides: it knows whether the model reasons, and shows it before it answers.
  if (input.think !== undefined && input.think !== false) return 'it was asked to reason before it answers';
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
