/** What a job asks of whoever runs it: abilities, and its size in tokens as far as text shows it. Pure. */

import { ROUTING } from '../../limits/jobs.ts';
import type { ChatInput, GenerateInput, JobInput } from '../../protocol/job.ts';

export interface Demand {
  readonly kind: JobInput['kind'];
  readonly tools: boolean;
  readonly images: boolean;
  readonly thinking: boolean;
  /** Text to be filled in before a suffix. */
  readonly insert: boolean;
  /** Estimated from characters. */
  readonly promptTokens: number;
  /** The most that the client will take; undefined when it named no bound. */
  readonly maxOutputTokens: number | undefined;
}

export function demandOf(input: JobInput): Demand {
  const text = input.kind === 'chat' || input.kind === 'generate' ? input : undefined;
  const images = text === undefined ? 0 : imagesIn(text);
  const tools = input.kind === 'chat' ? (input.tools?.length ?? 0) : 0;
  const tokens =
    charactersIn(input) / ROUTING.charsPerToken +
    images * ROUTING.tokensPerImage +
    tools * ROUTING.tokensPerTool +
    (input.kind === 'generate' ? (input.context?.length ?? 0) : 0);
  return {
    kind: input.kind,
    tools: tools > 0,
    images: images > 0,
    thinking: text?.think !== undefined && text.think !== false,
    insert: input.kind === 'generate' && input.suffix !== undefined && input.suffix !== '',
    promptTokens: Math.ceil(tokens),
    maxOutputTokens: text === undefined ? 0 : outputBound(text),
  };
}

function imagesIn(input: ChatInput | GenerateInput): number {
  if (input.kind === 'generate') return input.images?.length ?? 0;
  let images = 0;
  for (const message of input.messages) images += message.images?.length ?? 0;
  return images;
}

function charactersIn(input: JobInput): number {
  let characters = 0;
  switch (input.kind) {
    case 'chat':
      for (const { content, thinking, toolCalls } of input.messages) {
        characters += content.length + (thinking?.length ?? 0);
        for (const call of toolCalls ?? []) characters += call.name.length + call.arguments.length;
      }
      return characters;
    case 'generate':
      return input.prompt.length + (input.system?.length ?? 0) + (input.suffix?.length ?? 0);
    case 'embed':
      for (const text of input.inputs) characters += text.length;
      return characters;
    case 'load':
      return 0;
  }
}

/** The most tokens that the client will take; undefined without a bound: Ollama's -1 and -2 mean without end, and until the context is full. */
export function outputBound({ options }: JobInput): number | undefined {
  const wanted = options?.num_predict;
  return typeof wanted === 'number' && wanted >= 0 ? wanted : undefined;
}
