/** `POST /v1/chat/completions`: from the body to a job. */

import { z } from 'zod';
import type { ChatInput, ChatMessage, Options } from '../../protocol/job.ts';
import { parseModelRef } from '../../protocol/model-name.ts';
import { fieldError, readBody, unsupportedField } from '../body.ts';
import { argumentsText, callId, given, imageOf, optionsOf, stopList, tool, toolName, toolsOf } from '../tools.ts';

const part = z.looseObject({
  type: z.string(),
  text: z.string().nullish(),
  refusal: z.string().nullish(),
  image_url: z.union([z.string(), z.object({ url: z.string() })]).nullish(),
});

const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: z.union([z.string(), z.array(part)]).nullish(),
  name: z.string().nullish(),
  tool_call_id: callId.nullish(),
  tool_calls: z
    .array(z.object({ id: callId.nullish(), function: z.object({ name: toolName, arguments: z.unknown() }) }))
    .nullish(),
  reasoning: z.string().nullish(),
  reasoning_content: z.string().nullish(),
});
type Message = z.infer<typeof message>;

const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

const body = z.object({
  model: z.string(),
  messages: z.array(message).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().nullish(),
  max_completion_tokens: z.int().nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  presence_penalty: z.number().nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  n: z.int().nullish(),
  logprobs: z.boolean().nullish(),
  response_format: z
    .object({ type: z.string(), json_schema: z.object({ schema: z.looseObject({}).nullish() }).nullish() })
    .nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: z.union([z.string(), z.looseObject({})]).nullish(),
  reasoning_effort: z.enum(EFFORTS).nullish(),
  reasoning: z.object({ effort: z.enum(EFFORTS).nullish() }).nullish(),
});
type Body = z.infer<typeof body>;

export interface ChatRequest {
  /** As the client wrote it; the answer names it so. */
  readonly model: string;
  readonly input: ChatInput;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** @throws GoGridError `invalid_request`, `unsupported`: nothing else, whatever comes */
export function decodeChat(json: unknown): ChatRequest {
  const request = readBody(body, json);
  parseModelRef(request.model);
  refuseWhatIsNotDone(request);
  const input: ChatInput = {
    kind: 'chat',
    messages: decodeMessages(request.messages),
    ...given('tools', request.tool_choice === 'none' ? undefined : toolsOf(request.tools)),
    ...given('format', formatOf(request)),
    ...given('think', thinkOf(request.reasoning_effort ?? request.reasoning?.effort)),
    ...given('options', samplingOf(request)),
  };
  return {
    model: request.model,
    input,
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
  };
}

function refuseWhatIsNotDone(request: Body): void {
  if ((request.n ?? 1) !== 1) {
    throw unsupportedField('n', `${request.n} answers to one request are not made`, 'send n: 1, or several requests');
  }
  if (request.logprobs === true) {
    throw unsupportedField('logprobs', 'probabilities of tokens are not given', 'leave it out');
  }
  const choice = request.tool_choice ?? 'auto';
  if (choice !== 'auto' && choice !== 'none') {
    throw unsupportedField(
      'tool_choice',
      'no model can be forced to call a tool',
      'send "auto", or "none" to forbid tools',
    );
  }
}

function decodeMessages(messages: readonly Message[]): ChatMessage[] {
  /** Names of the tools by the ids of their calls: a result names the call, the model wants the tool. */
  const called = new Map<string, string>();
  return messages.map((source, index) => {
    const toolCalls = source.tool_calls?.map(({ id, function: { name, arguments: value } }) => {
      if (id) called.set(id, name);
      return { ...given('id', id), name, arguments: argumentsText(value) };
    });
    const isResult = source.role === 'tool' || source.role === 'function';
    const name = isResult ? (called.get(source.tool_call_id ?? '') ?? source.name) : undefined;
    const { text, images } = decodeContent(source, `messages[${index}].content`);
    return {
      role: roleOf(source.role),
      content: text,
      ...given('thinking', source.reasoning ?? source.reasoning_content),
      ...given('images', images.length === 0 ? undefined : images),
      ...given('toolCalls', toolCalls?.length === 0 ? undefined : toolCalls),
      ...given('toolName', name),
      ...given('toolCallId', isResult ? source.tool_call_id : undefined),
    };
  });
}

function roleOf(role: Message['role']): ChatMessage['role'] {
  if (role === 'developer') return 'system';
  return role === 'function' ? 'tool' : role;
}

function decodeContent({ content }: Message, field: string): { text: string; images: string[] } {
  if (typeof content === 'string') return { text: content, images: [] };
  const texts: string[] = [];
  const images: string[] = [];
  for (const [index, item] of (content ?? []).entries()) {
    const at = `${field}[${index}]`;
    if (item.type === 'text') texts.push(item.text ?? '');
    else if (item.type === 'refusal') texts.push(item.refusal ?? '');
    else if (item.type === 'image_url') {
      const url = typeof item.image_url === 'string' ? item.image_url : item.image_url?.url;
      if (url === undefined) throw fieldError(`${at}.image_url`, 'expected an object with url, got nothing');
      images.push(imageOf(url, `${at}.image_url.url`));
    } else {
      const shown = JSON.stringify(item.type.slice(0, 40));
      throw unsupportedField(`${at}.type`, `${shown} is not read`, 'send parts of type "text" or "image_url"');
    }
  }
  return { text: texts.join('\n'), images };
}

function formatOf({ response_format: format }: Body): ChatInput['format'] {
  switch (format?.type) {
    case undefined:
    case 'text':
      return undefined;
    case 'json_object':
      return 'json';
    case 'json_schema': {
      const schema = format.json_schema?.schema;
      if (!schema) throw fieldError('response_format.json_schema.schema', 'expected an object, got nothing');
      return schema as ChatInput['format'];
    }
    default: {
      const shown = JSON.stringify(format?.type.slice(0, 40));
      const known = 'send "text", "json_object" or "json_schema"';
      throw unsupportedField('response_format.type', `${shown} is not a format`, known);
    }
  }
}

/** The levels of thinking that engines know lie between OpenAI's. */
function thinkOf(effort: (typeof EFFORTS)[number] | null | undefined): ChatInput['think'] {
  switch (effort) {
    case 'none':
      return false;
    case 'minimal':
      return 'low';
    case 'xhigh':
    case 'max':
      return 'high';
    default:
      return effort ?? undefined;
  }
}

/** Nothing that the request leaves out: the model's own defaults hold then, not the 1 that Ollama's own layer sets. */
function samplingOf(request: Body): Options | undefined {
  const limit = request.max_completion_tokens ?? request.max_tokens ?? -1;
  if (limit === 0) {
    const field = typeof request.max_completion_tokens === 'number' ? 'max_completion_tokens' : 'max_tokens';
    throw fieldError(field, 'expected at least 1, got the number 0', 'leave it out for no limit');
  }
  return optionsOf({
    // Clients that mean "no limit" send -1.
    num_predict: limit < 0 ? undefined : limit,
    temperature: request.temperature ?? undefined,
    top_p: request.top_p ?? undefined,
    frequency_penalty: request.frequency_penalty ?? undefined,
    presence_penalty: request.presence_penalty ?? undefined,
    seed: request.seed ?? undefined,
    stop: stopList(request.stop),
  });
}
