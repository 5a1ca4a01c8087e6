/** Fetches a model through a node, and tells how far it is. */

import type { PullState } from '../../contract/pulls.ts';
import { GoGridError, isErrorCode } from '../../errors.ts';
import { errorIn } from '../node-client.ts';
import type { Member } from './member.ts';
import type { Stage } from './stage.ts';

/** @throws GoGridError why it could not be fetched, with what to do */
export async function pullModel({ teller, signal }: Stage, { client, part }: Member, model: string): Promise<void> {
  const stream = await client.stream({ method: 'POST', path: '/model/pull', body: { model }, signal });
  for await (const line of stream.lines) {
    const failed = errorIn(line);
    if (failed !== undefined) throw notFetched(failed);
    const state = JSON.parse(line) as PullState;
    if (state.status === 'success') return;
    teller.tell({ event: 'downloading', node: part.name, model, progress: state });
  }
  throw new GoGridError({ code: 'provider_lost', message: `the node ended while it fetched ${model}` });
}

function notFetched({ code, message, hint }: NonNullable<ReturnType<typeof errorIn>>): GoGridError {
  return new GoGridError({
    code: code !== undefined && isErrorCode(code) ? code : 'engine_failed',
    message: message,
    hint: hint ?? 'with a model of your own Ollama it needs no download: --model NAME',
  });
}
