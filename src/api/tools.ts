/** What both surfaces read alike: tool definitions, images, options, tool calls. */

import { z } from 'zod';
import { API } from '../limits/api.ts';
import type { JobInput, Options, ToolCall } from '../protocol/job.ts';
import { fieldError, unsupportedField } from './body.ts';

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const DATA_URL = /^data:[a-z0-9.+-]{0,60}\/?[a-z0-9.+-]{0,60}(;[a-z0-9=.+-]{1,80})*;base64,/i;

type Json = NonNullable<Extract<JobInput, { kind: 'chat' }>['tools']>[number];

export const toolName = z.string().min(1).max(API.maxToolNameChars);
export const callId = z.string().max(API.maxCallIdChars);

/** Only what decides whether it is one; the definition itself is passed on as it came. */
export const tool = z.looseObject({
  type: z.literal('function').nullish(),
  function: z.looseObject({ name: toolName }),
});

/** Tool definitions as the job carries them; `[]` means none, as LangChain and LiteLLM send it. */
export function toolsOf(tools: readonly z.infer<typeof tool>[] | null | undefined): Json[] | undefined {
  if (tools === undefined || tools === null || tools.length === 0) return undefined;
  return tools.map((definition) => ({ ...definition, type: 'function' }) as Json);
}

/**
 * An image as base64 without a header.
 * @throws GoGridError when it is neither base64 nor a `data:` URL
 */
export function imageOf(text: string, field: string): string {
  if (/^https?:/i.test(text)) {
    throw unsupportedField(field, 'images are not fetched from the web', 'send the image itself, as a data: URL');
  }
  const header = DATA_URL.exec(text.slice(0, 300))?.[0];
  const data = header === undefined ? text : text.slice(header.length);
  if (data === '' || data.length % 4 !== 0 || !BASE64.test(data)) {
    throw fieldError(field, 'it is not an image in base64', 'send base64, or data:image/png;base64,…');
  }
  return data;
}

/** A tool call's id where the model gave none: unique over a conversation, since the job's id is. */
export function toolCallId(call: ToolCall, job: string | undefined, index: number): string {
  return call.id ?? `call_${(job ?? 'x').replaceAll('-', '').slice(-16)}_${index}`;
}

/** Arguments of a tool call as text: clients send an object in one dialect and text in the other, and some mix them. */
export function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value === '' ? '{}' : value;
  return JSON.stringify(value ?? {});
}

/** `options` without entries that are not there; undefined when none is left. */
export function optionsOf(entries: Readonly<Record<string, Options[string] | undefined>>): Options | undefined {
  const options: Options = {};
  for (const [name, value] of Object.entries(entries)) {
    if (value !== undefined && value !== null) options[name] = value;
  }
  return Object.keys(options).length === 0 ? undefined : options;
}

/** `field` when there is a value, nothing when not: for objects whose optional fields must be absent, not undefined. */
export function given<K extends string, V>(field: K, value: V | null | undefined): { [key in K]?: V } {
  return value === undefined || value === null ? {} : ({ [field]: value } as { [key in K]: V });
}

/** Stop sequences as a list, without empty ones; undefined when there is none. */
export function stopList(stop: string | readonly string[] | null | undefined): string[] | undefined {
  const list = (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== '');
  return list.length === 0 ? undefined : list;
}
