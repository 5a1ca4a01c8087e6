/** Answers of `/api/embed` and of the older `/api/embeddings`, as JSON text. */

import type { Clock } from '../../clock.ts';
import type { EmbedInput, LoadInput } from '../../protocol/job.ts';
import type { WholeAnswer } from '../job-answer.ts';
import { jobSummary } from '../job-headers.ts';
import { splitVectors, toJsonNumbers } from '../vectors.ts';
import { durationsOf } from './answers.ts';
import type { OllamaRequest } from './requests.ts';

type Request = OllamaRequest<EmbedInput | LoadInput>;

export function embedAnswer(answer: WholeAnswer, request: Request, startedAt: number, clock: Clock): string {
  const { total_duration, load_duration, prompt_eval_count } = durationsOf(answer.done, startedAt, clock);
  const rest = { total_duration, load_duration, prompt_eval_count, x_gogrid: jobSummary(answer.placed, answer.done) };
  const embeddings = vectorsOf(answer, request).map(toJsonNumbers);
  return `{"model":${JSON.stringify(request.model)},"embeddings":[${embeddings.join(',')}],${JSON.stringify(rest).slice(1)}`;
}

export function oldEmbedAnswer(answer: WholeAnswer, request: Request): string {
  const [vector] = vectorsOf(answer, request);
  return `{"embedding":${vector === undefined ? '[]' : toJsonNumbers(vector)}}`;
}

/** Nothing to embed has loaded the model and made no vector. */
function vectorsOf({ vectors }: WholeAnswer, { input }: Request): Uint8Array[] {
  return input.kind === 'load' ? [] : splitVectors(vectors, input.inputs.length);
}
