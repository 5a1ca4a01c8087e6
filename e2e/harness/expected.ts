/** What the fake engine must have said, and how often it was asked. */

import { answer, renderChat } from '../engine/answers.ts';
import { digestOf } from '../engine/models.ts';
import type { FakeCall, FakeModel } from '../engine/settings.ts';
import type { FakeEngine } from '../engine/start.ts';
import { ask } from './clients.ts';

export const WORDS: FakeModel = { name: 'words:latest' };

/** The undisturbed answer to a conversation of one question. */
export function answerTo(content: string, model: FakeModel = WORDS): string {
  return tokensTo(content, model).join('');
}

/** The same, token by token. */
export function tokensTo(content: string, model: FakeModel = WORDS): string[] {
  const prompt = renderChat(ask(content), [], { open: model.template === 'open', thinks: false, think: false });
  return [...answer(digestOf(model), prompt)];
}

/** The generations that an engine was asked for; requests that only render a prompt do not count. */
export async function generations(engine: FakeEngine): Promise<FakeCall[]> {
  return (await engine.report()).calls.filter((call) => !call.render);
}

/** The generations of several engines, oldest first. */
export async function allGenerations(engines: readonly FakeEngine[]): Promise<FakeCall[]> {
  return (await Promise.all(engines.map(generations))).flat().sort((a, b) => a.startedAt - b.startedAt);
}
