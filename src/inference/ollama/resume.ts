/**
 * Going on in the middle of an answer.
 *
 * A trailing assistant message is continued only by templates that leave its turn open. What works for every template is
 * to let Ollama render the prompt (`_debug_render_only`), to append the answer so far, and to give it back as a raw
 * prompt: the model then sees exactly the tokens it would have seen.
 */

import { GoGridError } from '../../errors.ts';
import { requestObstacle } from '../../jobs/resume.ts';
import type { JobInput } from '../../protocol/job.ts';
import type { Body, NativeRequest, TextInput } from './requests.ts';

/** What the resume needs to know of a model. */
export interface ResumeTraits {
  readonly thinks: boolean;
  /** `num_predict` of the model's own parameters, when it has one. */
  readonly numPredict: number | undefined;
}

export interface Resume {
  readonly text: string;
  readonly tokens: number;
}

/** Reasoning that a template closes before the answer begins. */
const THINKING_CLOSED = /<\/think(ing)?>\s*$/;

/** The error of a call that cannot go on in the middle. */
export function cannotContinue(model: string, why: string): GoGridError {
  return new GoGridError({
    code: 'cannot_continue',
    message: `${model} cannot continue this answer here: ${why}`,
    hint: 'ask for it again from the beginning',
  });
}

/**
 * Checks that a text prefix says all there is to say about where the answer stands.
 * @throws GoGridError `cannot_continue`
 */
export function checkResumable(model: string, input: JobInput, traits: ResumeTraits): asserts input is TextInput {
  const why = obstacle(input, traits);
  if (why !== undefined) throw cannotContinue(model, why);
}

/** What holds for every engine is decided by the job flow; what this engine cannot do besides is decided here. */
function obstacle(input: JobInput, traits: ResumeTraits): string | undefined {
  if (input.kind !== 'chat' && input.kind !== 'generate') return `${input.kind} jobs have no text to go on with`;
  if (traits.thinks && input.think !== false && !isRaw(input)) return 'the model reasons before it answers';
  return requestObstacle(input);
}

/** Whether the prompt is given to the model as it is: nothing has to be rendered. */
export function isRaw(input: TextInput): boolean {
  return input.kind === 'generate' && input.raw === true;
}

/** The request whose answer is the prompt, and not a generation: at most one token from a daemon that knows no better. */
export function renderRequest({ path, body }: NativeRequest): NativeRequest {
  return { path, body: { ...body, _debug_render_only: true, options: { ...optionsOf(body), num_predict: 1 } } };
}

/** The rendered prompt in the first line of an answer to a render request, or undefined when that is none. */
export function renderedPrompt(line: Body): string | undefined {
  const info = line._debug_info;
  const template = typeof info === 'object' && info !== null && 'rendered_template' in info && info.rendered_template;
  return typeof template === 'string' && template !== '' ? template : undefined;
}

/** Output tokens that the answer may still have; undefined when nothing limits it. */
export function tokensLeft(native: NativeRequest, resume: Resume, traits: ResumeTraits): number | undefined {
  const limit = optionsOf(native.body).num_predict ?? traits.numPredict;
  // For Ollama 0 and less mean: no limit.
  return typeof limit === 'number' && limit > 0 ? Math.max(0, limit - resume.tokens) : undefined;
}

/**
 * The request that goes on behind `resume.text`, for an answer that has tokens left.
 * @param prompt as the model saw it when the answer began
 * @throws GoGridError `cannot_continue` when the prompt leaves the model's reasoning open
 */
export function resumeRequest(
  native: NativeRequest,
  prompt: string,
  resume: Resume,
  traits: ResumeTraits,
): NativeRequest {
  const { model, keep_alive } = native.body;
  if (traits.thinks && native.body.raw !== true && !THINKING_CLOSED.test(prompt)) {
    throw cannotContinue(String(model), 'its template does not close the reasoning');
  }
  const options = optionsOf(native.body);
  const left = tokensLeft(native, resume, traits);
  return {
    path: '/api/generate',
    body: {
      model,
      prompt: prompt + resume.text,
      raw: true,
      stream: true,
      // Cutting the prompt to fit would make another answer of it.
      truncate: false,
      ...(traits.thinks && { think: false }),
      ...(keep_alive !== undefined && { keep_alive }),
      options: left === undefined ? options : { ...options, num_predict: left },
    },
  };
}

function optionsOf(body: Body): Body {
  return (body.options ?? {}) as Body;
}
