/** What a job asks of whoever runs it: abilities, and its size in tokens as far as text shows it. Pure. */

import { ROUTING } from '../../limits/jobs.ts';
import type { ChatInput, GenerateInput, JobInput } from '../../protocol/job.ts';
import { outputLimitOf } from '../bounds.ts';
import { charsInCalls } from '../tool-calls.ts';
import type { Demand } from './decision.ts';

/** A job is looked at several times on its way, and its tools and its conversation may have megabytes. */
const known = new WeakMap<JobInput, Demand>();

/** @param input is not changed any more */
export function demandOf(input: JobInput): Demand {
  const before = known.get(input);
  if (before !== undefined) return before;
  const demand = demandIn(input);
  known.set(input, demand);
  return demand;
}

function demandIn(input: JobInput): Demand {
  const text = input.kind === 'chat' || input.kind === 'generate' ? input : undefined;
  const images = text === undefined ? 0 : imagesIn(text);
  const tools = input.kind === 'chat' ? (input.tools?.length ?? 0) : 0;
  const tokens =
    charactersIn(input) / ROUTING.charsPerToken +
    images * ROUTING.tokensPerImage +
    (input.kind === 'generate' ? (input.context?.length ?? 0) : 0);
  return {
    kind: input.kind,
    tools: tools > 0,
    images: images > 0,
    thinking: text?.think !== undefined && text.think !== false,
    insert: input.kind === 'generate' && input.suffix !== undefined && input.suffix !== '',
    promptTokens: Math.ceil(tokens),
    maxOutputTokens: text === undefined ? 0 : outputLimitOf(text),
  };
}

function imagesIn(input: ChatInput | GenerateInput): number {
  if (input.kind === 'generate') return input.images?.length ?? 0;
  let images = 0;
  for (const message of input.messages) images += message.images?.length ?? 0;
  return images;
}

function charactersIn(input: JobInput): number {
  let characters = input.kind === 'chat' || input.kind === 'generate' ? jsonChars(input.format) : 0;
  switch (input.kind) {
    case 'chat':
      characters += jsonChars(input.tools);
      for (const { content, thinking, toolCalls } of input.messages) {
        characters += content.length + (thinking?.length ?? 0) + charsInCalls(toolCalls);
      }
      return characters;
    case 'generate':
      for (const text of [input.prompt, input.system, input.suffix, input.template]) characters += text?.length ?? 0;
      return characters;
    case 'embed':
      for (const text of input.inputs) characters += text.length;
      return characters;
    case 'load':
      return 0;
  }
}

/** Characters of what a model reads as JSON: definitions of tools, the schema of its answer. */
function jsonChars(value: unknown): number {
  return value === undefined || value === null ? 0 : JSON.stringify(value).length;
}
