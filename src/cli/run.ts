/** `gogrid run`: one question to a model of the mesh. */

import { GoGridError } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { type Answer, askModel, BrokenAnswer, cutOff, type Message } from './answer.ts';
import { usage } from './arguments.ts';
import type { Call } from './command.ts';
import { type ApiStream, connect, errorInStream, type NodeClient } from './node-client.ts';
import { privacyHeaders } from './privacy-flag.ts';
import { jsonFor, painter, printable } from './text.ts';
import { chatModels, unknownModel } from './which-model.ts';

export async function run(call: Call): Promise<number> {
  const [model, ...words] = call.words;
  if (model === undefined) throw usage('run wants a model and a prompt', 'run');
  const prompt = await readPrompt(call, words);
  const headers = privacyHeaders(call, 'run');
  const node = await connect(call.home);
  const aborter = new AbortController();
  const stopListening = call.world.onSignal(() => aborter.abort());
  const messages: Message[] = [{ role: 'user', content: prompt }];
  try {
    const { signal } = aborter;
    if (call.json) {
      const body = { model, messages, stream: true };
      return await passOn(call, await node.stream({ method: 'POST', path: '/api/chat', body, headers, signal }));
    }
    const answer = await askModel(call.world, node, { model, messages, headers, signal });
    return sayWho(call, answer);
  } catch (thrown) {
    if (aborter.signal.aborted) throw cancelled(thrown);
    throw await explained(node, model, thrown instanceof BrokenAnswer ? thrown.error : thrown);
  } finally {
    stopListening();
  }
}

function sayWho(call: Call, answer: Answer): number {
  if (answer.cancelled) throw cancelled(undefined);
  const { world } = call;
  const paint = painter(world, world.stderr);
  world.stderr.write(`${paint('dim', printable(answer.summary ?? ''))}\n`);
  return 0;
}

function cancelled(cause: unknown): GoGridError {
  return new GoGridError({ code: 'cancelled', message: 'cancelled', cause });
}

/** Of a model that nobody has, it is worth saying which one was probably meant. */
async function explained(node: NodeClient, model: string, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof GoGridError) || thrown.code !== 'model_not_found') return thrown;
  const models = await chatModels(node).catch(() => undefined);
  return models === undefined ? thrown : unknownModel(node, models, model);
}

/**
 * The prompt is what stands behind the model, or standard input where nothing does. A lone `-` at the end adds standard
 * input: reading it unasked would wait forever where a program leaves its pipe open.
 */
async function readPrompt(call: Call, words: readonly string[]): Promise<string> {
  const { stdin } = call.world;
  const addsInput = words.at(-1) === '-';
  const spoken = (addsInput ? words.slice(0, -1) : words).join(' ');
  if (spoken !== '' && !addsInput) return spoken;
  if (spoken === '' && !addsInput && stdin.isTty) {
    throw usage('run wants a prompt behind the model, or one on standard input', 'run');
  }
  const read = (await stdin.readAll(CLI.maxPromptBytes)).trim();
  const prompt = spoken === '' ? read : `${spoken}\n\n${read}`;
  if (prompt === '') throw usage('the prompt is empty', 'run');
  return prompt;
}

/** Prints the lines as they come, for programs. An error line ends the command as it does for people. */
async function passOn(call: Call, stream: ApiStream): Promise<number> {
  for await (const line of stream.lines) {
    if (line.trim() === '') continue;
    const failed = errorInStream(line);
    if (failed !== undefined) throw failed;
    call.world.stdout.write(`${jsonFor(call.world.stdout, line)}\n`);
    if (isLast(line)) return 0;
  }
  throw cutOff();
}

function isLast(line: string): boolean {
  try {
    return (JSON.parse(line) as { done?: unknown }).done === true;
  } catch (thrown) {
    throw new GoGridError({ code: 'internal', message: 'the node sent a line that is not JSON', cause: thrown });
  }
}
