/** Vectors of texts. */

import { JOB } from '../../../limits/jobs.ts';
import type { EmbedInput, FinishReason } from '../../../protocol/job.ts';
import type { RunOrder } from '../messages.ts';
import { CANCELLED, failure } from './failure.ts';
import type { RunningModel } from './model.ts';
import type { Outbox } from './outbox.ts';
import type { Usage } from './speak.ts';

/** The beginning and the end that some models want around a text. */
const MARGIN_TOKENS = 4;

/**
 * One vector of length 1 for every text, in their order.
 * @throws GoGridError `prompt_too_long` for a text that does not fit and may not be cut
 */
export async function embed(
  running: RunningModel,
  order: RunOrder,
  input: EmbedInput,
  outbox: Outbox,
  signal: AbortSignal,
): Promise<{ reason: FinishReason; usage: Usage }> {
  const startedAt = performance.now();
  const usage = { promptTokens: 0, outputTokens: 0, loadMs: running.loadMs, prefillMs: 0, decodeMs: 0 };
  running.loadMs = 0;
  let waiting: Float32Array[] = [];
  const flush = async () => {
    const [first] = waiting;
    if (first === undefined) return;
    const data = new Uint8Array(Buffer.concat(waiting.map((vector) => new Uint8Array(vector.buffer))));
    await outbox.vectors(first.length, data);
    waiting = [];
  };
  for (const [index, text] of input.inputs.entries()) {
    if (signal.aborted) throw CANCELLED;
    const { vector, tokens } = await vectorOf(running, order.contextLength, input, text, index);
    usage.promptTokens += tokens;
    const wide = vector.length * Float32Array.BYTES_PER_ELEMENT;
    if ((waiting.length + 1) * wide > JOB.maxChunkBytes) await flush();
    waiting.push(vector);
  }
  await flush();
  usage.prefillMs = Math.round(performance.now() - startedAt);
  return { reason: 'stop', usage };
}

async function vectorOf(
  running: RunningModel,
  contextLength: number,
  { truncate, dimensions }: EmbedInput,
  text: string,
  index: number,
): Promise<{ vector: Float32Array; tokens: number }> {
  const embedder = await running.embedder(contextLength);
  // Nothing at all still has a vector: that of a blank.
  let tokens = running.model.tokenize(text === '' ? ' ' : text, false);
  const room = contextLength - MARGIN_TOKENS;
  if (tokens.length > room) {
    if (truncate === false) {
      const message = `input[${index}]: ${tokens.length} tokens, and the model has room for ${room}`;
      throw failure('prompt_too_long', message, 'shorten it, or leave `truncate` away');
    }
    tokens = tokens.slice(0, room);
  }
  const { vector } = await embedder.getEmbeddingFor(tokens);
  return { vector: unit(dimensions === undefined ? vector : vector.slice(0, dimensions)), tokens: tokens.length };
}

/** The same direction, with length 1. */
function unit(values: readonly number[]): Float32Array {
  const length = Math.hypot(...values);
  return Float32Array.from(values, (value) => (length > 0 ? value / length : 0));
}
