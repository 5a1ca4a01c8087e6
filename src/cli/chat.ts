/** `gogrid chat`: a conversation with a model of the mesh. */

import type { Model } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { type Answer, askModel, BrokenAnswer } from './answer.ts';
import { usage } from './arguments.ts';
import { type ChatCommand, COMMAND_HELP, readCommand, TextBlock, withoutEscape } from './chat-input.ts';
import { reportError } from './cli-error.ts';
import type { Call } from './command.ts';
import { Conversation } from './conversation.ts';
import { connect, type NodeClient } from './node-client.ts';
import { privacyHeaders } from './privacy-flag.ts';
import { spelled } from './program.ts';
import { type Cell, type Column, renderFacts, renderTable } from './table.ts';
import { painter, printable } from './text.ts';
import { chatModels, modelNamed, noModelHint, placesOf, unknownModel } from './which-model.ts';
import type { LineInput } from './world.ts';

const PROMPT = '>>> ';
const MORE_PROMPT = '... ';
const HOW_TO_LEAVE = 'Ctrl-C once more, Ctrl-D or /bye leaves.';

export async function run(call: Call): Promise<number> {
  const [name, ...more] = call.words;
  if (more.length > 0) throw usage('chat takes one model; what you want to say comes at its prompt', 'chat');
  if (call.json) throw usage('chat is for people: programs use `gogrid run --json`, or the API', 'chat');
  privacyHeaders(call, 'chat');
  const node = await connect(call.home);
  const model = await chooseModel(node, name);
  const chat = new Chat(call, model.name);
  await chat.welcome(node, model, name === undefined);
  return chat.talk();
}

/** The one that was named, else the first of this machine, else the first of the mesh. */
async function chooseModel(node: NodeClient, name: string | undefined): Promise<Model> {
  const models = await chatModels(node);
  if (name === undefined) {
    const [first] = models;
    if (first !== undefined) return first;
    const message = 'no machine of the mesh has a model';
    throw new GoGridError({ code: 'model_not_found', message, hint: await noModelHint(node) });
  }
  const found = modelNamed(models, name);
  if (found === undefined) throw await unknownModel(node, models, name);
  return found;
}

function unknownCommand({ word, meant }: ChatCommand & { name: 'unknown' }): string {
  const what = meant === undefined ? '/help lists what there is' : `did you mean ${meant}?`;
  return `There is no ${word}; ${what}${meant === undefined ? '.' : ''} To send a text that begins with a slash: /${word}`;
}

class Chat {
  readonly #call: Call;
  readonly #conversation = new Conversation({ maxMessages: CLI.maxChatMessages, maxChars: CLI.maxChatChars });
  readonly #block = new TextBlock();
  /** Somebody sits there: what is typed and said is interleaved on one terminal. */
  readonly #live: boolean;
  #model: string;
  #answering: AbortController | undefined;
  #ended = false;

  constructor(call: Call, model: string) {
    this.#call = call;
    this.#model = model;
    this.#live = call.world.stdin.isTty && call.world.stdout.isTty;
  }

  async welcome(node: NodeClient, model: Model, chosen: boolean): Promise<void> {
    if (!this.#live && !chosen) return;
    const where = await placesOf(node, model).catch(() => '');
    const what = `${model.name}${where === '' ? '' : ` on ${where}`}`;
    this.#say(`Talking to ${what}. ${this.#live ? '/help lists what you can do, /bye leaves.' : ''}`.trimEnd());
  }

  /** Question after question, until somebody leaves. @returns the exit code */
  async talk(): Promise<number> {
    const { world } = this.#call;
    const lines = world.lines();
    const stopListening = world.onSignal((signal) => {
      // On a terminal Ctrl-C means the answer, everything else the program.
      if (signal !== 'SIGINT' || !this.#live) this.#ended = true;
      this.#answering?.abort();
      if (this.#ended) lines.close();
    });
    try {
      return await this.#turns(lines);
    } finally {
      stopListening();
      lines.close();
    }
  }

  async #turns(lines: LineInput): Promise<number> {
    let interrupts = 0;
    while (!this.#ended) {
      const typed = await lines.ask(this.#block.open ? MORE_PROMPT : PROMPT);
      // The end of the input may be that of a signal, which cuts the chat off wherever it stands.
      if (typed.kind === 'end') return this.#ended ? 1 : 0;
      if (typed.kind === 'interrupt') {
        // What was begun is thrown away, as in a shell; at an empty prompt the second time means it.
        const isEmpty = typed.text === '' && !this.#block.open;
        this.#block.reset();
        if (isEmpty && ++interrupts > 1) return 0;
        if (isEmpty) this.#say(HOW_TO_LEAVE);
        continue;
      }
      interrupts = 0;
      const code = await this.#take(typed.text);
      if (code !== undefined) return code;
    }
    return 1;
  }

  /** One line or paste. @returns an exit code when that ends the chat */
  async #take(line: string): Promise<number | undefined> {
    const command = this.#block.open ? undefined : readCommand(line);
    if (command?.name === 'bye') return 0;
    const text = command === undefined ? this.#gather(line) : undefined;
    try {
      if (command !== undefined) await this.#obey(command);
      else if (text !== undefined && text.trim() !== '') await this.#ask(text);
      return undefined;
    } catch (thrown) {
      const code = reportError(this.#call.world, thrown, false);
      // A pipe cannot react to what went wrong with one question: the next would be about nothing.
      return this.#live ? undefined : code;
    }
  }

  /** Text that came in several lines at once may hold a block of its own. */
  #gather(text: string): string | undefined {
    if (!this.#block.open && !text.trimStart().startsWith('"""')) return withoutEscape(text);
    let whole: string | undefined;
    for (const line of text.split('\n')) whole = this.#block.add(line) ?? whole;
    return this.#block.open ? undefined : whole;
  }

  /* ---- questions ---- */

  async #ask(question: string): Promise<void> {
    const aborter = new AbortController();
    this.#answering = aborter;
    try {
      const answer = await this.#answer(question, aborter.signal);
      if (answer.text !== '') this.#conversation.keep(question, answer.text);
      if (answer.cancelled) {
        const kept = answer.text === '' ? 'The question is forgotten.' : 'The chat goes on from what came.';
        this.#say(`Cancelled. ${kept}`);
      }
      if (answer.summary !== undefined) this.#say(answer.summary);
      if (this.#live) this.#call.world.stdout.write('\n');
    } catch (thrown) {
      throw thrown instanceof BrokenAnswer ? this.#unanswered(thrown) : thrown;
    } finally {
      this.#answering = undefined;
    }
  }

  /** Asks, and where the conversation has become too long for the model, again with less of it. */
  async #answer(question: string, signal: AbortSignal): Promise<Answer> {
    // The node may have been started again since the last question.
    const node = await connect(this.#call.home);
    while (true) {
      const { messages, dropped } = this.#conversation.ask(question);
      this.#sayForgotten(dropped);
      try {
        const headers = privacyHeaders(this.#call, 'chat');
        return await askModel(this.#call.world, node, { model: this.#model, messages, headers, signal });
      } catch (thrown) {
        const isTooLong = thrown instanceof BrokenAnswer && thrown.error.code === 'prompt_too_long';
        const forgotten = isTooLong ? this.#conversation.dropOldest() : 0;
        if (forgotten === 0) throw thrown;
        this.#sayForgotten(forgotten);
      }
    }
  }

  #sayForgotten(turns: number): void {
    if (turns === 0) return;
    const what = turns === 1 ? 'the oldest question and answer' : `the ${turns} oldest questions and answers`;
    this.#say(`The conversation is longer than the model's context: ${what} are forgotten.`);
  }

  #unanswered({ text, error }: BrokenAnswer): GoGridError {
    const again = this.#live ? 'arrow up brings the question back' : undefined;
    const hint = [error.hint, again].filter((each) => each !== undefined).join('; ');
    const message = text === '' ? error.message : `the answer broke off: ${error.message}`;
    return new GoGridError({ code: error.code, message, ...(hint === '' ? {} : { hint }), cause: error });
  }

  /* ---- commands ---- */

  async #obey(command: ChatCommand): Promise<void> {
    switch (command.name) {
      case 'model':
        return command.text === '' ? this.#listModels() : this.#changeModel(command.text);
      case 'models':
        return this.#listModels();
      case 'system':
        return this.#changeSystem(command.text);
      case 'clear':
        this.#conversation.clear();
        return this.#say('Forgotten. The next question begins anew.');
      case 'unknown':
        return this.#say(unknownCommand(command));
      default:
        this.#call.world.stdout.write(renderFacts(COMMAND_HELP, this.#sheet));
    }
  }

  async #listModels(): Promise<void> {
    const node = await connect(this.#call.home);
    const models = await chatModels(node);
    if (models.length === 0) return this.#say(`No machine of the mesh has a model: ${await noModelHint(node)}`);
    const rows = await Promise.all(
      models.map(async (model): Promise<Cell[]> => {
        const name: Cell = model.name === this.#model ? { text: model.name, style: 'green' } : model.name;
        return [name, await placesOf(node, model), model.name === this.#model ? 'you talk to it' : ''];
      }),
    );
    this.#call.world.stdout.write(renderTable(MODEL_COLUMNS, rows, this.#sheet));
  }

  async #changeModel(name: string): Promise<void> {
    const node = await connect(this.#call.home);
    const models = await chatModels(node);
    const found = modelNamed(models, name);
    if (found === undefined) throw await unknownModel(node, models, name);
    this.#model = found.name;
    const keeps = this.#conversation.turns === 0 ? '' : ' It knows what was said so far; /clear begins anew.';
    this.#say(`Talking to ${found.name} on ${await placesOf(node, found)} now.${keeps}`);
  }

  #changeSystem(text: string): void {
    const { system } = this.#conversation;
    if (text === '') {
      this.#say(system === '' ? 'No system text is set: /system TEXT sets one.' : `The system text: ${system}`);
    } else {
      this.#conversation.system = text === 'off' ? '' : text;
      this.#say(text === 'off' ? 'No system text from the next question on.' : 'It holds from the next question on.');
    }
  }

  get #sheet() {
    return { columns: this.#call.world.stdout.columns, paint: this.#call.paint };
  }

  /** A word beside the conversation: dim on the terminal, on standard error where the answers go into a pipe. */
  #say(text: string): void {
    const { world } = this.#call;
    const output = this.#live ? world.stdout : world.stderr;
    output.write(`${painter(world, output)('dim', printable(spelled(text, world.program)))}\n`);
  }
}

const MODEL_COLUMNS: readonly Column[] = [
  { title: 'MODEL', shrinks: true },
  { title: 'WHERE', shrinks: true },
  { title: '' },
];
