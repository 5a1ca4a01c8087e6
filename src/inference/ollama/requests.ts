/** Job inputs as the requests of Ollama's native API. */

import { GoGridError } from '../../errors.ts';
import type { ChatInput, ChatMessage, GenerateInput, JobInput, Options, ToolCall } from '../../protocol/job.ts';

export type Body = Readonly<Record<string, unknown>>;
/** Inputs whose answer is text that comes token by token. */
export type TextInput = ChatInput | GenerateInput;

export interface NativeRequest {
  readonly path: '/api/chat' | '/api/generate' | '/api/embed';
  readonly body: Body;
}

/**
 * The request that runs `input`.
 * @param model as Ollama itself spells it
 * @param embedsOnly the model has no completion: loading it takes the embedding endpoint
 * @throws GoGridError `invalid_request` for tool call arguments that are no JSON object
 */
export function nativeRequest(model: string, input: JobInput, embedsOnly: boolean): NativeRequest {
  const common = {
    model,
    ...(input.options !== undefined && { options: withoutNulls(input.options) }),
    ...(input.keepAlive !== undefined && { keep_alive: input.keepAlive }),
  };
  switch (input.kind) {
    case 'chat':
    case 'generate':
      return textRequest(common, input);
    case 'embed': {
      const { inputs, truncate, dimensions } = input;
      return { path: '/api/embed', body: present({ ...common, input: inputs, truncate, dimensions }) };
    }
    case 'load':
      if (embedsOnly && !unloads(input.keepAlive)) return { path: '/api/embed', body: { ...common, input: [] } };
      return { path: '/api/generate', body: { ...common, stream: false } };
  }
}

function textRequest(common: Body, input: TextInput): NativeRequest {
  const { format, think } = input;
  const shared = { ...common, stream: true, format: format === '' ? undefined : format, think };
  if (input.kind === 'chat') {
    const messages = input.messages.map(nativeMessage);
    return { path: '/api/chat', body: present({ ...shared, messages, tools: filled(input.tools) }) };
  }
  const { prompt, suffix, system, template, raw, context } = input;
  const images = filled(input.images);
  const body = { ...shared, prompt, suffix, system, template, images, raw, context: filled(context) };
  return { path: '/api/generate', body: present(body) };
}

/** Whether a `keep_alive` means: not at all. */
export function unloads(keepAlive: JobInput['keepAlive']): boolean {
  return keepAlive === 0 || (typeof keepAlive === 'string' && /^0+(\.0*)?[a-zµ]*$/.test(keepAlive));
}

function nativeMessage(message: ChatMessage, index: number): Body {
  const { role, content, thinking, toolName, toolCallId } = message;
  const calls = filled(message.toolCalls)?.map((call, at) => nativeToolCall(call, at, `messages[${index}]`));
  const images = filled(message.images);
  return present({ role, content, thinking, images, tool_calls: calls, tool_name: toolName, tool_call_id: toolCallId });
}

function nativeToolCall(call: ToolCall, index: number, where: string): Body {
  const { id, name } = call;
  const given = parseArguments(call.arguments, `${where}.toolCalls[${index}].arguments`);
  return present({ id, function: { index, name, arguments: given } });
}

/** Ollama takes an object; the job carries the text that the model gave. */
function parseArguments(text: string, where: string): object {
  if (text.trim() === '') return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  throw new GoGridError({ code: 'invalid_request', message: `${where}: not a JSON object` });
}

function withoutNulls(options: Options): Body {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null));
}

/** Clients send empty lists for absent ones; some templates take an empty list for a present one. */
function filled<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

/** Without the fields that are undefined or null. */
function present(body: Body): Body {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined && value !== null));
}
