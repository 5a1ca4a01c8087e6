/** Ollama's `/api/chat`, `/api/generate`, `/api/embed` and `/api/embeddings`: from the body to a job. */

import { z } from 'zod';
import { API } from '../../limits/api.ts';
import type { ChatInput, ChatMessage, EmbedInput, GenerateInput, LoadInput, Options } from '../../protocol/job.ts';
import { parseModelRef } from '../../protocol/model-name.ts';
import { fieldError, readBody, unsupportedField } from '../body.ts';
import { argumentsText, callId, given, imageOf, optionsOf, stopList, tool, toolName, toolsOf } from '../tools.ts';

const optionValue = z.union([z.number(), z.boolean(), z.string(), z.array(z.string()), z.null()]);

const common = {
  model: z.string(),
  stream: z.boolean().nullish(),
  options: z.record(z.string().max(API.maxOptionNameChars), optionValue).nullish(),
  keep_alive: z.union([z.number(), z.string().max(API.maxDurationChars)]).nullish(),
};
/** What the two that write text have besides. */
const writing = {
  format: z.union([z.string(), z.looseObject({})]).nullish(),
  think: z.union([z.boolean(), z.enum(['low', 'medium', 'high'])]).nullish(),
  logprobs: z.boolean().nullish(),
};

const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images: z.array(z.string()).nullish(),
  tool_calls: z
    .array(z.object({ id: callId.nullish(), function: z.object({ name: toolName, arguments: z.unknown() }) }))
    .nullish(),
  tool_name: z.string().nullish(),
  tool_call_id: callId.nullish(),
  name: z.string().nullish(),
});

const chatBody = z.object({
  ...common,
  ...writing,
  messages: z.array(message).nullish(),
  tools: z.array(tool).nullish(),
});

const generateBody = z.object({
  ...common,
  ...writing,
  prompt: z.string().nullish(),
  suffix: z.string().nullish(),
  system: z.string().nullish(),
  template: z.string().nullish(),
  images: z.array(z.string()).nullish(),
  raw: z.boolean().nullish(),
  context: z.array(z.int()).nullish(),
});

const embedBody = z.object({
  ...common,
  input: z.union([z.string(), z.array(z.string())]).nullish(),
  truncate: z.boolean().nullish(),
  dimensions: z.int().positive().nullish(),
});
const oldEmbedBody = z.object({ ...common, prompt: z.string().nullish() });

export interface OllamaRequest<Input> {
  /** As the client wrote it; the answer names it so. */
  readonly model: string;
  readonly input: Input;
  readonly stream: boolean;
}

/** Without messages it only loads the model. @throws GoGridError `invalid_request`, `unsupported` */
export function decodeChat(json: unknown): OllamaRequest<ChatInput | LoadInput> {
  const body = readBody(chatBody, json);
  if (!body.messages?.length) return asked(body, loadInput(body));
  return asked(body, {
    kind: 'chat',
    messages: body.messages.map(decodeMessage),
    ...given('tools', toolsOf(body.tools)),
    ...writingOf(body),
  });
}

/** With an empty prompt it only loads the model. @throws GoGridError `invalid_request`, `unsupported` */
export function decodeGenerate(json: unknown): OllamaRequest<GenerateInput | LoadInput> {
  const body = readBody(generateBody, json);
  if (!body.prompt) return asked(body, loadInput(body));
  return asked(body, {
    kind: 'generate',
    prompt: body.prompt,
    ...given('suffix', body.suffix || undefined),
    ...given('system', body.system || undefined),
    ...given('template', body.template || undefined),
    ...given('images', imagesOf(body.images, 'images')),
    ...given('raw', body.raw),
    ...given('context', body.context?.length ? body.context : undefined),
    ...writingOf(body),
  });
}

/** Without input it only loads the model. @throws GoGridError `invalid_request` */
export function decodeEmbed(json: unknown): OllamaRequest<EmbedInput | LoadInput> {
  const body = readBody(embedBody, json);
  const { input } = body;
  if (!input?.length) return asked(body, loadInput(body));
  return asked(body, {
    kind: 'embed',
    inputs: typeof input === 'string' ? [input] : input,
    ...given('truncate', body.truncate),
    ...given('dimensions', body.dimensions),
    ...commonOf(body),
  });
}

/** The older endpoint: one prompt, one vector. @throws GoGridError `invalid_request` */
export function decodeOldEmbed(json: unknown): OllamaRequest<EmbedInput | LoadInput> {
  const body = readBody(oldEmbedBody, json);
  if (!body.prompt) return asked(body, loadInput(body));
  return asked(body, { kind: 'embed', inputs: [body.prompt], ...commonOf(body) });
}

function asked<Input>(
  body: { model: string; stream?: boolean | null | undefined },
  input: Input,
): OllamaRequest<Input> {
  parseModelRef(body.model);
  return { model: body.model, input, stream: body.stream ?? true };
}

type Common = Pick<z.infer<typeof chatBody>, keyof typeof common>;
type Writing = Pick<z.infer<typeof chatBody>, keyof typeof writing>;

function loadInput(body: Common): LoadInput {
  return { kind: 'load', ...commonOf(body) };
}

function commonOf({ options, keep_alive: keepAlive }: Common): { options?: Options; keepAlive?: number | string } {
  const stop = options?.stop;
  if (stop !== undefined && stop !== null && typeof stop !== 'string' && !Array.isArray(stop)) {
    throw fieldError('options.stop', 'expected a string or a list of strings', 'send ["###"], for example');
  }
  const read = optionsOf({ ...options, ...(stop !== undefined && { stop: stopList(stop) }) });
  return { ...given('options', read), ...given('keepAlive', isZero(keepAlive) ? 0 : keepAlive) };
}

/** `"0s"` unloads as 0 does. */
function isZero(keepAlive: number | string | null | undefined): boolean {
  return typeof keepAlive === 'string' && keepAlive.includes('0') && !/[1-9]/.test(keepAlive);
}

function writingOf(body: Common & Writing): Pick<ChatInput, 'format' | 'think' | 'options' | 'keepAlive'> {
  if (body.logprobs === true) {
    throw unsupportedField('logprobs', 'probabilities of tokens are not given', 'leave it out');
  }
  if (typeof body.format === 'string' && body.format !== 'json' && body.format !== '') {
    throw fieldError(
      'format',
      'expected "json" or a JSON schema',
      'send "json", a schema as an object, or leave it out',
    );
  }
  return {
    ...given('format', (body.format || undefined) as ChatInput['format']),
    ...given('think', body.think),
    ...commonOf(body),
  };
}

function decodeMessage(source: z.infer<typeof message>, index: number): ChatMessage {
  const isResult = source.role === 'tool';
  const toolCalls = source.tool_calls?.map(({ id, function: { name, arguments: value } }) => ({
    ...given('id', id),
    name,
    arguments: argumentsText(value),
  }));
  return {
    role: source.role === 'developer' ? 'system' : source.role,
    content: source.content ?? '',
    ...given('thinking', source.thinking || undefined),
    ...given('images', imagesOf(source.images, `messages[${index}].images`)),
    ...given('toolCalls', toolCalls?.length ? toolCalls : undefined),
    ...given('toolName', isResult ? (source.tool_name ?? source.name) : undefined),
    ...given('toolCallId', isResult ? source.tool_call_id : undefined),
  };
}

function imagesOf(images: readonly string[] | null | undefined, field: string): string[] | undefined {
  if (!images?.length) return undefined;
  return images.map((image, index) => imageOf(image, `${field}[${index}]`));
}
