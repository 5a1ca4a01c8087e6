/**
 * What the fake engine says: texts that are a pure function of the model and the prompt.
 *
 * An answer is a list of tokens; its word number k ends in k, so that a lost, repeated or foreign word shows. It begins
 * with `#1`. A prompt that ends with the beginning of an answer to what stands before it is continued exactly, by any
 * process that has the model: that is what a real model at temperature 0 does.
 */

import { createHash } from 'node:crypto';

const WORDS =
  'harbor river candle metal forest 数据 window naïve garden stone 東京 signal paper cloud 🌱 winter market bridge café ' +
  'letter island über mirror 🚀 thunder meadow velvet Привет copper 光 lantern orchard';
const VOCABULARY = WORDS.split(' ');
const FIRST = '#1';
const LENGTH_MARK = 'words=';
const WIDTH_MARK = 'wide=';
const DEFAULT_WORDS = 48;

interface Message {
  readonly role: string;
  readonly content: string;
  readonly images?: readonly unknown[] | undefined;
  readonly tool_calls?: unknown;
}

/** The template of every fake model: ChatML, with the last assistant turn closed or left open. */
export function renderChat(
  messages: readonly Message[],
  tools: readonly unknown[],
  options: { open: boolean; thinks: boolean; think: boolean },
): string {
  let image = 0;
  let prompt = tools.length === 0 ? '' : `<|im_start|>tools\n${JSON.stringify(tools)}<|im_end|>\n`;
  for (const [index, message] of messages.entries()) {
    const images = (message.images ?? []).map(() => `[img-${image++}]`).join('');
    const calls = message.tool_calls === undefined ? '' : JSON.stringify(message.tool_calls);
    prompt += `<|im_start|>${message.role}\n${images}${message.content}${calls}`;
    const last = index === messages.length - 1;
    if (last && message.role === 'assistant' && options.open) return prompt;
    prompt += '<|im_end|>\n';
  }
  prompt += '<|im_start|>assistant\n';
  return options.thinks && !options.think ? `${prompt}<think>\n\n</think>\n\n` : prompt;
}

/** Where the model goes on: the tokens still to come, and how many of the answer stand in the prompt already. */
export interface Continuation {
  readonly fromToken: number;
  readonly tokens: Iterable<string>;
}

/** What a model says to a raw prompt: a new answer, or the rest of the one the prompt ends with. */
export function continueFrom(digest: string, prompt: string): Continuation {
  for (let at = prompt.lastIndexOf(FIRST); at >= 0; at = at === 0 ? -1 : prompt.lastIndexOf(FIRST, at - 1)) {
    const found = restOf(digest, prompt.slice(0, at), prompt.slice(at));
    if (found !== undefined) return found;
  }
  return { fromToken: 0, tokens: answer(digest, prompt) };
}

/** The answer's tokens behind `prefix`, or undefined when the answer does not begin with it. */
function restOf(digest: string, prompt: string, prefix: string): Continuation | undefined {
  const tokens = answer(digest, prompt);
  let said = '';
  let fromToken = 0;
  while (said.length < prefix.length) {
    const next = tokens.next();
    if (next.done === true) return undefined;
    said += next.value;
    fromToken++;
    if (!said.startsWith(prefix) && !prefix.startsWith(said)) return undefined;
  }
  const cut = said.slice(prefix.length);
  return { fromToken: cut === '' ? fromToken : fromToken - 1, tokens: cut === '' ? tokens : withFirst(cut, tokens) };
}

function* withFirst(first: string, rest: Iterable<string>): Generator<string> {
  yield first;
  yield* rest;
}

/**
 * The whole answer to `prompt`. `words=N` in it sets how many tokens long, `wide=N` how many characters a word has at least;
 * the last such mark counts.
 */
export function* answer(digest: string, prompt: string): Generator<string> {
  const length = marked(prompt, LENGTH_MARK) || DEFAULT_WORDS;
  const width = marked(prompt, WIDTH_MARK);
  const seed = createHash('sha256').update(digest).update('\0').update(prompt).digest().readUInt32LE();
  let newLine = true;
  for (let index = 0; index < length; index++) {
    const random = scramble(seed + index);
    if (index > 0 && index < length - 1 && random % 16 === 0) {
      newLine = true;
      yield (random >>> 4) % 3 === 0 ? '\n\n' : '\n';
      continue;
    }
    const plain = `${VOCABULARY[(random >>> 8) % VOCABULARY.length]}${index + 1}`;
    const word = index === 0 ? FIRST : plain.padStart(width, '~');
    yield newLine ? word : ` ${word}`;
    newLine = false;
  }
}

function marked(prompt: string, mark: string): number {
  const at = prompt.lastIndexOf(mark);
  return at < 0 ? 0 : Number.parseInt(prompt.slice(at + mark.length), 10) || 0;
}

/** The text of the whole answer; what a test compares with. */
export function answerText(digest: string, prompt: string): string {
  return [...answer(digest, prompt)].join('');
}

/** What a thinking model thinks before it answers. */
export function thoughts(digest: string, prompt: string): Iterable<string> {
  return answer(digest, `${prompt}<think>words=12`);
}

/** One call of the tool that the last message asks for with `call NAME`, or undefined. */
export function toolCall(messages: readonly Message[], tools: readonly unknown[]): Record<string, unknown> | undefined {
  const asked = messages.at(-1)?.role === 'user' ? messages.at(-1)?.content.match(/\bcall (\w+)/)?.[1] : undefined;
  const tool = tools.map((each) => record(record(each).function)).find((each) => each.name === asked);
  if (asked === undefined || tool === undefined) return undefined;
  const id = `call_${createHash('sha256').update(asked).digest('hex').slice(0, 8)}`;
  return { id, function: { index: 0, name: asked, arguments: instanceOf(record(tool.parameters)) } };
}

/** A JSON text that fits a schema, or for `json` any object, cut into tokens. */
export function formatted(format: unknown, digest: string, prompt: string): string[] {
  const text = answerText(digest, `${prompt}words=5`);
  const value = typeof format === 'object' ? instanceOf(record(format)) : { answer: text };
  return JSON.stringify(value).match(/.{1,4}/gsu) ?? [];
}

/** A vector of length 1 that depends on the text alone. */
export function embedding(digest: string, text: string, dimensions: number): number[] {
  const seed = createHash('sha256').update(digest).update('\0').update(text).digest().readUInt32LE();
  const raw = Array.from({ length: dimensions }, (_, index) => scramble(seed + index) / 2 ** 31 - 1);
  const norm = Math.hypot(...raw);
  return raw.map((value) => Math.fround(value / norm));
}

function instanceOf(schema: Record<string, unknown>): unknown {
  switch (schema.type) {
    case 'string':
      return Array.isArray(schema.enum) ? schema.enum[0] : 'harbor';
    case 'integer':
    case 'number':
      return 7;
    case 'boolean':
      return true;
    case 'array':
      return [instanceOf(record(schema.items))];
    case 'null':
      return null;
    default:
      return Object.fromEntries(
        Object.entries(record(schema.properties)).map(([key, value]) => [key, instanceOf(record(value))]),
      );
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** A 32-bit mixer (Murmur3's finaliser): neighbouring numbers give unrelated ones. */
function scramble(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
