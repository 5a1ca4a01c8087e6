/**
 * What the model reads: a conversation in the form of its own chat template, or a raw text. Only what the template itself
 * writes can become special tokens: a message that contains `<|im_end|>` contains these ten characters and nothing else.
 */

import type { ChatHistoryItem, Token } from 'node-llama-cpp';
import type { ChatInput, ChatMessage, GenerateInput } from '../../../protocol/job.ts';
import { failure } from './failure.ts';
import type { RunningModel } from './model.ts';

/**
 * The tokens of a prompt, at most `room` of them. As in Ollama, the oldest messages of a conversation go when it does not
 * fit; what the system said, and the last message, stay.
 * @throws GoGridError `prompt_too_long` when these alone do not fit, `invalid_request` when the template refuses them
 */
export function promptTokens(running: RunningModel, input: ChatInput | GenerateInput, room: number): Token[] {
  if (input.kind === 'generate' && input.raw === true) {
    // A raw prompt carries its own markers, which count as such.
    return fitting(withBeginning(running, running.model.tokenize(input.prompt, true)), room);
  }
  const messages = input.kind === 'chat' ? input.messages : messagesOf(input);
  const render = (from: number) => rendered(running, shortened(messages, from));
  const whole = render(0);
  if (whole.length <= room) return whole;
  const last = lastStart(messages);
  const shortest = fitting(render(last), room);
  // The fewer messages, the fewer tokens: the first start that fits is found by halving.
  let [tooLong, fits, best] = [0, last, shortest];
  while (fits - tooLong > 1) {
    const middle = Math.floor((tooLong + fits) / 2);
    const tokens = render(middle);
    if (tokens.length <= room) [fits, best] = [middle, tokens];
    else tooLong = middle;
  }
  return best;
}

function fitting(tokens: Token[], room: number): Token[] {
  if (tokens.length <= room) return tokens;
  throw failure(
    'prompt_too_long',
    `prompt is too long: ${tokens.length} tokens, and the context has room for ${room}`,
    'shorten it, or raise the option num_ctx',
  );
}

function messagesOf({ system, prompt }: GenerateInput): ChatMessage[] {
  const asked: ChatMessage = { role: 'user', content: prompt };
  return system === undefined || system === '' ? [asked] : [{ role: 'system', content: system }, asked];
}

/** Without the messages before `from`, but for what the system said. */
function shortened(messages: readonly ChatMessage[], from: number): readonly ChatMessage[] {
  return messages.filter((message, index) => index >= from || message.role === 'system');
}

function lastStart(messages: readonly ChatMessage[]): number {
  return Math.max(
    0,
    messages.findLastIndex((message) => message.role === 'user'),
  );
}

function rendered(running: RunningModel, messages: readonly ChatMessage[]): Token[] {
  const { template } = running;
  if (template === undefined) {
    // As Ollama does with a model that has no template.
    const text = messages.map((message) => message.content).join('\n');
    return withBeginning(running, running.model.tokenize(text, false));
  }
  const history: ChatHistoryItem[] = messages.map(historyItem);
  // A last message of the assistant is one to go on with; else its turn begins here.
  if (history.at(-1)?.type !== 'model') history.push({ type: 'model', response: [] });
  try {
    const { contextText } = template.generateContextState({ chatHistory: history });
    return withBeginning(running, contextText.tokenize(running.model.tokenizer));
  } catch (thrown) {
    throw failure(
      'invalid_request',
      'the model’s chat template refuses these messages',
      'most templates want the roles user and assistant in turn, with at most one system message at the start',
      thrown,
    );
  }
}

function historyItem({ role, content }: ChatMessage): ChatHistoryItem {
  switch (role) {
    case 'system':
      return { type: 'system', text: content };
    case 'assistant':
      return { type: 'model', response: [content] };
    case 'tool':
    case 'user':
      return { type: 'user', text: content };
  }
}

/** With the token that the model wants at the beginning of everything, if it wants one. */
function withBeginning({ model, library }: RunningModel, tokens: Token[]): Token[] {
  const { bos, shouldPrependBosToken } = model.tokens;
  const wanted = shouldPrependBosToken || model.vocabularyType === library.LlamaVocabularyType.wpm;
  return wanted && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
}
