/** The story as a person sees it. */

import { DEMO } from '../../limits/program.ts';
import { pullLine } from '../progress-bar.ts';
import { type Paint, printable, printableLines } from '../text.ts';
import type { World } from '../world.ts';
import { Board } from './board.ts';
import { NAME_COLUMNS, type Role, styleOf } from './cast.ts';
import { wordsOf } from './checks.ts';
import { TextColumn } from './column.ts';
import type { DemoEvent, Teller } from './events.ts';

const plain: Paint = (_, text) => text;

type Done = Extract<DemoEvent, { event: 'done' }>;

const NO_MODEL: Readonly<Record<Exclude<Role, 'runs'>, string>> = {
  asks: 'has no model: it will ask',
  watches: 'has no model',
};
const ROUTES: Readonly<Record<string, string>> = {
  direct: 'over a direct connection',
  'hole-punched': 'over a connection through the routers between',
  relayed: 'over a third node',
};
/** So that what follows stands below each other: `ready in 0.9 s`. */
const READY_COLUMNS = 17;
const COUNTS = ['No', 'One', 'Two', 'Three', 'Four', 'Five', 'Six', 'Seven', 'Eight', 'Nine'];

export class Screen implements Teller {
  readonly #world: World;
  readonly #paint: Paint;
  readonly #columns: number;
  /** A terminal on which lines can be changed. */
  readonly #moves: boolean;
  readonly #board: Board;
  readonly #column: TextColumn;
  readonly #ready = new Map<string, string>();
  #cut = false;
  /** The cursor stands behind the start of a line. */
  #midLine = false;

  constructor(world: World, paint: Paint) {
    this.#world = world;
    this.#paint = paint;
    this.#columns = Math.min(world.stdout.columns ?? DEMO.columns, DEMO.columns);
    this.#moves = world.stdout.isTty && world.env.TERM !== 'dumb';
    const layout = { columns: this.#columns, nameColumns: NAME_COLUMNS, paint };
    this.#board = new Board(world.stdout, { ...layout, moves: this.#moves });
    this.#column = new TextColumn((text) => this.#write(text), layout);
  }

  tell(event: DemoEvent): void {
    switch (event.event) {
      case 'begin':
        this.#begin(event.nodes);
        break;
      case 'starting':
        this.#row(event.node, 'starting…', false);
        break;
      case 'node': {
        const ready = `ready in ${seconds(event.startedMs)}`.padEnd(READY_COLUMNS);
        this.#ready.set(event.node, ready);
        if (event.role === 'runs') this.#row(event.node, ready, false);
        else this.#row(event.node, ready + NO_MODEL[event.role], true);
        break;
      }
      case 'downloading':
        // In place of when it was ready: with a bar that one would leave no room.
        this.#row(event.node, pullLine(event.progress, this.#board.textColumns + 1, plain), false);
        break;
      case 'loading':
        this.#rowBehindReady(event.node, `loading ${event.model}…`, false);
        break;
      case 'loaded':
        this.#rowBehindReady(
          event.node,
          `has ${event.model}${event.shared ? ' in Ollama' : ''}, loaded in ${seconds(event.loadedMs)}`,
          true,
        );
        break;
      case 'mesh':
        this.#board.close();
        break;
      case 'asked':
        this.#say(`\n  ${this.#name(event.node)} asks: ${this.#paint('bold', printable(event.question))}\n`);
        break;
      case 'answering':
      case 'text':
      case 'killed':
      case 'silent':
      case 'continued':
        this.#answer(event);
        break;
      case 'comparing':
        this.#column.end(event.full);
        this.#midLine = false;
        if (this.#moves) this.#write(`\n  ${this.#paint('dim', 'asking the same again, with nobody killed…')}`);
        break;
      case 'done':
        if (this.#moves) this.#write('\r\u001b[2K\u001b[1A');
        this.#midLine = false;
        this.#sumUp(event);
        break;
      case 'ended':
        this.#say(
          `\n  ${this.#paint('dim', `${seconds(event.tookMs)} in all. Every process has ended, and their folders are removed.`)}\n`,
        );
        break;
    }
  }

  breakOff(): void {
    if (this.#midLine) this.#world.stdout.write('\n');
    this.#midLine = false;
  }

  #begin(nodes: readonly string[]): void {
    const count = COUNTS[nodes.length] ?? String(nodes.length);
    this.#say(`\n  ${this.#paint('bold', `${count} nodes on this machine, and one of them will die.`)}\n\n`);
    for (const node of nodes) this.#row(node, '', false);
  }

  #answer(event: Extract<DemoEvent, { event: 'answering' | 'text' | 'killed' | 'silent' | 'continued' }>): void {
    switch (event.event) {
      case 'answering':
        this.#say(
          `  ${this.#name(event.node)} answers ${ROUTES[event.route] ?? event.route}; ` +
            `the first word took ${seconds(event.firstTextMs)}.\n`,
        );
        this.#column.begin(event.node, styleOf(event.node));
        break;
      case 'text':
        this.#column.add(printableLines(event.text));
        break;
      case 'killed':
        break;
      case 'silent':
        this.#markCut();
        break;
      case 'continued':
        this.#markCut();
        this.#cut = false;
        this.#column.begin(event.node, styleOf(event.node));
        break;
    }
  }

  #markCut(): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#column.cut();
  }

  #sumUp(done: Done): void {
    const width = Math.max(...done.parts.map(({ toToken }) => String(toToken).length));
    const lines = done.parts.map(({ node, fromToken, toToken, text }) => {
      const name = this.#name(node) + ' '.repeat(NAME_COLUMNS - node.length);
      const from = String(fromToken + 1).padStart(width);
      const to = String(toToken).padStart(width);
      const words = wordsOf(text).length;
      const counted = this.#paint('dim', `(${words} ${words === 1 ? 'word' : 'words'})`);
      return `  ${name}   wrote tokens ${from} to ${to}  ${counted}\n`;
    });
    this.#say(`\n${lines.join('')}\n`);
    for (const sentence of findings(done)) this.#say(wrapped(sentence, this.#columns));
  }

  #rowBehindReady(node: string, text: string, final: boolean): void {
    this.#row(node, (this.#ready.get(node) ?? '') + text, final);
  }

  #row(name: string, text: string, final: boolean): void {
    this.#board.set({ name, style: styleOf(name), text: printable(text), textStyle: final ? undefined : 'dim', final });
  }

  #name(node: string): string {
    return this.#paint(styleOf(node), node);
  }

  #say(text: string): void {
    this.#world.stdout.write(text);
  }

  #write(text: string): void {
    this.#midLine = true;
    this.#world.stdout.write(text);
  }
}

/** What was seen, in sentences that say no more than that. */
export function findings(done: Done): string[] {
  const { parts, tokens, contiguous, reference } = done;
  const { node, pid } = done.killed;
  const death = `${node} (process ${pid}) was killed; the text stood still for ${seconds(done.standstillMs)}.`;
  const joined = contiguous
    ? `No word is missing or there twice: the parts join at token ${parts[0]?.toToken ?? 0} of ${tokens}.`
    : `The parts do NOT join: tokens ${parts.map((part) => `${part.fromToken + 1}-${part.toToken}`).join(', ')} of ${tokens}.`;
  const total = wordsOf(done.text).length;
  const compared = reference.equal
    ? `Asked again, undisturbed, ${reference.node} gave the same answer to the letter.`
    : `Asked again, undisturbed, ${reference.node} wrote the same first ${reference.sameWords} of ${total} words, ` +
      'and then others.';
  return [death, joined, compared];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 995 ? 2 : 1)} s`;
}

function wrapped(sentence: string, columns: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of sentence.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns - 4) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => `  ${each}\n`).join('');
}
