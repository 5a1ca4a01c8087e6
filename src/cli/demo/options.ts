/** The flags of `gogrid demo`. */

import { DEMO } from '../../limits/program.ts';
import { usage } from '../arguments.ts';
import { type Call, flagOf } from '../command.ts';

export interface DemoOptions {
  /** As the user wrote it; undefined for the starter model. */
  readonly model: string | undefined;
  readonly question: string;
  readonly nodes: number;
}

const QUESTION = 'Tell me about the sea.';

export function readOptions(call: Pick<Call, 'words' | 'flags'>): DemoOptions {
  if (call.words.length > 0) {
    throw usage(`demo takes no '${call.words[0]}'; a question goes behind --question`, 'demo');
  }
  const question = (flagOf(call, 'question') ?? QUESTION).trim();
  if (question === '') throw usage('--question is empty', 'demo');
  const model = flagOf(call, 'model')?.trim();
  if (model === '') throw usage('--model is empty', 'demo');
  const given = flagOf(call, 'nodes');
  const nodes = given === undefined ? 5 : /^\d{1,3}$/.test(given) ? Number(given) : Number.NaN;
  if (!(nodes >= DEMO.minNodes && nodes <= DEMO.maxNodes)) {
    throw usage(`--nodes ${given}: expected a number from ${DEMO.minNodes} to ${DEMO.maxNodes}`, 'demo');
  }
  return { model, question, nodes };
}
