/**
 * A tiny llama model that speaks words, made in milliseconds: fixed random weights, so the same options always give the
 * same bytes, and at temperature 0 the same answer to the same prompt. What it says makes no sense; it says it in whole
 * words, at a thousand tokens a second, and comes to an end by itself.
 *
 * How random weights come to speak words: one dimension of the residual stream is held constant (every embedding has
 * `STEADY` there, and no layer writes to it), so the output matrix can use it as a bias. The bias silences every token that
 * is no word, and makes the end likely enough. Words are tokens with their space in front, and the tokenizer takes a word
 * that is a token as a whole, so text goes back to the very tokens it came from: an answer can be continued exactly.
 */

import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ODD_WORDS, WORDS } from './tiny-words.ts';

/** For `end`: the model speaks until something else stops it. */
export const NEVER_ENDS = Number.NEGATIVE_INFINITY;

export interface TinyGgufOptions {
  /** `general.name` of the file. */
  readonly name?: string;
  /** Other seeds speak differently. */
  readonly seed?: number;
  /** How much the end is preferred to a word: with 8 most answers have 30 to 200 words, `NEVER_ENDS` fills the context. */
  readonly end?: number;
  /** Tokens. */
  readonly contextLength?: number;
  /** The chat template, in Jinja; empty for a model without one. */
  readonly template?: string;
  /** More of them make it slower: 2 give a thousand tokens a second. */
  readonly layers?: number;
}

/** Marks every turn, and leaves the assistant's open: what most models of today have. */
export const CHATML =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Writes a model file at `file`, whole or not at all; makes its folder. */
export async function writeTinyGguf(file: string, options: TinyGgufOptions = {}): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.part`;
  await writeFile(draft, tinyGguf(options));
  await rename(draft, file);
}

const WIDTH = 64;
const FEED_FORWARD = 128;
const HEADS = 4;
const DEFAULTS = { name: 'tiny', seed: 5, end: 8, contextLength: 4096, template: CHATML, layers: 2 };

/** The dimension that stays as it is, and its value. */
const STEADY_AT = WIDTH - 1;
const STEADY = 4;
/** Below any word by more than chance can make good. */
const SILENCED = -30;
/** They are few, and should come up all the same. */
const ODD_WORDS_PREFERRED = 3;

/** The file's bytes, about 0.6 MB. */
export function tinyGguf(options: TinyGgufOptions = {}): Buffer {
  const settings = { ...DEFAULTS, ...options };
  const vocabulary = makeVocabulary();
  return ggufFile(metadata(settings, vocabulary), weights(settings, vocabulary));
}

/* ---- the vocabulary ---- */

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly firstWord: number;
  readonly firstOddWord: number;
}

const SPECIALS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
const END_OF_TEXT = 0;
const END_OF_TURN = 2;
const NORMAL = 1;
const CONTROL = 3;

function makeVocabulary(): Vocabulary {
  const bytes = Array.from({ length: 256 }, (_, byte) => visible(Buffer.of(byte)));
  const words = [...WORDS, ...ODD_WORDS].map((word) => visible(Buffer.from(` ${word}`)));
  return {
    tokens: [...SPECIALS, ...bytes, ...words],
    types: [...SPECIALS.map(() => CONTROL), ...[...bytes, ...words].map(() => NORMAL)],
    firstWord: SPECIALS.length + bytes.length,
    firstOddWord: SPECIALS.length + bytes.length + WORDS.length,
  };
}

/** Bytes as GPT-2's vocabulary writes them: each byte as one printable character. */
function visible(bytes: Buffer): string {
  return [...bytes]
    .map((byte) => String.fromCodePoint(isPrintable(byte) ? byte : 256 + unprintableBefore(byte)))
    .join('');
}

function isPrintable(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

function unprintableBefore(byte: number): number {
  return Array.from({ length: byte }, (_, each) => each).filter((each) => !isPrintable(each)).length;
}

/* ---- the weights ---- */

interface Tensor {
  readonly name: string;
  /** Values in a row, and rows; a plain vector has one row. */
  readonly columns: number;
  readonly rows: number;
  readonly values: Float32Array;
}

type Settings = Required<TinyGgufOptions>;

function weights({ seed, end, layers }: Settings, { tokens, firstWord, firstOddWord }: Vocabulary): Tensor[] {
  const random = normalNumbers(seed);
  const matrix = (name: string, columns: number, rows: number, scale: number): Tensor => {
    const values = Float32Array.from({ length: columns * rows }, () => random() * scale);
    return { name, columns, rows, values };
  };
  const ones = (name: string): Tensor => ({ name, columns: WIDTH, rows: 1, values: new Float32Array(WIDTH).fill(1) });
  /** What many layers write must not drown the steady dimension: together they write as much as two. */
  const share = Math.sqrt(DEFAULTS.layers / layers);
  /** Into the residual stream: nothing arrives at the steady dimension. */
  const writing = (name: string, columns: number, scale: number): Tensor => {
    const tensor = matrix(name, columns, WIDTH, scale * share);
    tensor.values.fill(0, STEADY_AT * columns, (STEADY_AT + 1) * columns);
    return tensor;
  };

  const bias = (token: number): number => {
    if (token === END_OF_TURN) return Math.max(end, SILENCED);
    if (token < firstWord) return SILENCED;
    return token < firstOddWord ? 0 : ODD_WORDS_PREFERRED;
  };

  const embeddings = matrix('token_embd.weight', WIDTH, tokens.length, 1);
  const output = matrix('output.weight', WIDTH, tokens.length, 0.6);
  for (let token = 0; token < tokens.length; token++) {
    embeddings.values[token * WIDTH + STEADY_AT] = STEADY;
    // What the last norm leaves of the steady dimension is near 1.
    output.values[token * WIDTH + STEADY_AT] = bias(token);
  }
  const blocks = Array.from({ length: layers }, (_, layer) => [
    ones(`blk.${layer}.attn_norm.weight`),
    matrix(`blk.${layer}.attn_q.weight`, WIDTH, WIDTH, 0.35),
    matrix(`blk.${layer}.attn_k.weight`, WIDTH, WIDTH, 0.35),
    matrix(`blk.${layer}.attn_v.weight`, WIDTH, WIDTH, 0.3),
    writing(`blk.${layer}.attn_output.weight`, WIDTH, 0.3),
    ones(`blk.${layer}.ffn_norm.weight`),
    matrix(`blk.${layer}.ffn_gate.weight`, WIDTH, FEED_FORWARD, 0.2),
    matrix(`blk.${layer}.ffn_up.weight`, WIDTH, FEED_FORWARD, 0.2),
    writing(`blk.${layer}.ffn_down.weight`, FEED_FORWARD, 0.2),
  ]);
  return [embeddings, ...blocks.flat(), ones('output_norm.weight'), output];
}

/** Normally distributed numbers out of a seed (mulberry32, Box and Muller). */
function normalNumbers(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/* ---- the file, as https://github.com/ggml-org/ggml/blob/master/docs/gguf.md has it ---- */

type Value =
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s'; readonly value: readonly number[] };

const uint32 = (value: number): Value => ({ type: 'uint32', value });
const float32 = (value: number): Value => ({ type: 'float32', value });
const text = (value: string): Value => ({ type: 'string', value });

function metadata({ name, contextLength, template, layers }: Settings, vocabulary: Vocabulary): [string, Value][] {
  return [
    ['general.architecture', text('llama')],
    ['general.name', text(name)],
    ['general.file_type', uint32(0)],
    ['llama.context_length', uint32(contextLength)],
    ['llama.embedding_length', uint32(WIDTH)],
    ['llama.block_count', uint32(layers)],
    ['llama.feed_forward_length', uint32(FEED_FORWARD)],
    ['llama.attention.head_count', uint32(HEADS)],
    ['llama.attention.head_count_kv', uint32(HEADS)],
    ['llama.attention.layer_norm_rms_epsilon', float32(1e-5)],
    ['llama.rope.dimension_count', uint32(WIDTH / HEADS)],
    ['llama.rope.freq_base', float32(10_000)],
    ['llama.vocab_size', uint32(vocabulary.tokens.length)],
    // Byte pairs without a pair; of the kind of Llama 3, whose tokenizer looks for whole words first.
    ['tokenizer.ggml.model', text('gpt2')],
    ['tokenizer.ggml.pre', text('llama-bpe')],
    ['tokenizer.ggml.tokens', { type: 'strings', value: vocabulary.tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: vocabulary.types }],
    ['tokenizer.ggml.merges', { type: 'strings', value: [] }],
    ['tokenizer.ggml.bos_token_id', uint32(END_OF_TEXT)],
    ['tokenizer.ggml.eos_token_id', uint32(END_OF_TURN)],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
    ...(template === '' ? [] : [['tokenizer.chat_template', text(template)] satisfies [string, Value]]),
  ];
}

const ALIGNMENT = 32;
const TYPES = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 };
const FLOAT32_TENSOR = 0;

function ggufFile(entries: readonly [string, Value][], tensors: readonly Tensor[]): Buffer {
  const infos: Buffer[] = [];
  const data: Buffer[] = [];
  let offset = 0;
  for (const { name, columns, rows, values } of tensors) {
    const shape = rows === 1 ? [u32(1), u64(columns)] : [u32(2), u64(columns), u64(rows)];
    infos.push(string(name), ...shape, u32(FLOAT32_TENSOR), u64(offset));
    const bytes = padded(Buffer.from(values.buffer));
    data.push(bytes);
    offset += bytes.length;
  }
  const head = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length)];
  const keys = entries.flatMap(([key, value]) => [string(key), encoded(value)]);
  return Buffer.concat([padded(Buffer.concat([...head, ...keys, ...infos])), ...data]);
}

function encoded({ type, value }: Value): Buffer {
  switch (type) {
    case 'uint32':
      return Buffer.concat([u32(TYPES.uint32), u32(value)]);
    case 'float32':
      return Buffer.concat([u32(TYPES.float32), Buffer.from(Float32Array.of(value).buffer)]);
    case 'bool':
      return Buffer.concat([u32(TYPES.bool), Buffer.of(value ? 1 : 0)]);
    case 'string':
      return Buffer.concat([u32(TYPES.string), string(value)]);
    case 'strings':
      return Buffer.concat([u32(TYPES.array), u32(TYPES.string), u64(value.length), ...value.map(string)]);
    case 'int32s':
      return Buffer.concat([u32(TYPES.array), u32(TYPES.int32), u64(value.length), ...value.map(u32)]);
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}
