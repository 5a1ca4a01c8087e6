/** Answers in JSON: what a request's `format` allows, as a grammar. */

import type { LlamaGrammar, LlamaGrammarEvaluationState } from 'node-llama-cpp';
import type { ChatInput } from '../../../protocol/job.ts';
import { failure } from './failure.ts';
import type { RunningModel } from './model.ts';

/** @throws GoGridError `invalid_request` for a schema that cannot be made a grammar */
export async function grammarOf(
  { library, llama, model }: RunningModel,
  format: ChatInput['format'],
): Promise<LlamaGrammarEvaluationState | undefined> {
  if (format === undefined || format === null || format === '') return undefined;
  let grammar: LlamaGrammar;
  try {
    grammar =
      format === 'json'
        ? await llama.getGrammarFor('json')
        : await llama.createGrammarForJsonSchema(checkedSchema(format));
  } catch (thrown) {
    throw failure('invalid_request', "format: neither 'json' nor a JSON schema that is supported", undefined, thrown);
  }
  return new library.LlamaGrammarEvaluationState({ model, grammar });
}

/** A client's schema may hold more than the library knows; it says so itself. */
function checkedSchema(format: unknown): { type: 'object' } {
  if (typeof format !== 'object' || format === null || Array.isArray(format)) throw new Error('not an object');
  return format as { type: 'object' };
}
