/** `POST /v1/embeddings`. */

import { z } from 'zod';
import type { EmbedInput } from '../../protocol/job.ts';
import { parseModelRef } from '../../protocol/model-name.ts';
import { fieldError, readBody, unsupportedField } from '../body.ts';
import type { WholeAnswer } from '../job-answer.ts';
import { jobSummary } from '../job-headers.ts';
import { given } from '../tools.ts';
import { splitVectors, toBase64, toJsonNumbers } from '../vectors.ts';

const body = z.object({
  model: z.string(),
  input: z.union([z.string(), z.array(z.union([z.string(), z.number(), z.array(z.number())]))]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().positive().nullish(),
});

export interface EmbeddingsRequest {
  readonly model: string;
  readonly input: EmbedInput;
  readonly encoding: 'float' | 'base64';
}

/** @throws GoGridError `invalid_request`, `unsupported` */
export function decodeEmbeddings(json: unknown): EmbeddingsRequest {
  const request = readBody(body, json);
  parseModelRef(request.model);
  const inputs: string[] = [];
  for (const item of typeof request.input === 'string' ? [request.input] : request.input) {
    if (typeof item !== 'string') {
      throw unsupportedField(
        'input',
        'lists of token numbers are not read',
        'send text: each model has its own tokens',
      );
    }
    inputs.push(item);
  }
  if (inputs.length === 0) throw fieldError('input', 'expected at least one text, got an empty list');
  return {
    model: request.model,
    input: { kind: 'embed', inputs, ...given('dimensions', request.dimensions) },
    encoding: request.encoding_format ?? 'float',
  };
}

/** The answer as JSON text: openai-js asks for base64 unless told otherwise, and reads numbers as an empty list. */
export function embeddingsAnswer(answer: WholeAnswer, { model, input, encoding }: EmbeddingsRequest): string {
  const vectors = splitVectors(answer.vectors, input.inputs.length);
  const data = vectors.map((vector, index) => {
    const embedding = encoding === 'base64' ? JSON.stringify(toBase64(vector)) : toJsonNumbers(vector);
    return `{"object":"embedding","index":${index},"embedding":${embedding}}`;
  });
  const { promptTokens } = answer.done.usage;
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  const rest = JSON.stringify({ model, usage, x_gogrid: jobSummary(answer.placed, answer.done) }).slice(1);
  return `{"object":"list","data":[${data.join(',')}],${rest}`;
}
