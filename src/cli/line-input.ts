/** What somebody types, line by line: node:readline with editing and history on a terminal, lines of a pipe else. */

import { createInterface } from 'node:readline';
import { CLI } from '../limits/program.ts';
import type { LineInput, Typed } from './world.ts';

export interface LineStreams {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Whether the terminal may be asked to mark what is pasted: one that cannot would show the request. */
  readonly marksPastes: boolean;
}

/** Lines of a terminal where both ends are one, else those of a pipe or a file. */
export function lineInput(streams: LineStreams): LineInput {
  const onTerminal = streams.input.isTTY === true && streams.output.isTTY === true;
  return onTerminal ? terminalLines(streams) : pipedLines(streams.input);
}

/** Bracketed paste: the terminal sends `ESC [200~` before what is pasted, and `ESC [201~` behind it (xterm, mode 2004). */
const MARK_PASTES = '\u001b[?2004h';
const MARK_NO_PASTES = '\u001b[?2004l';

/**
 * One readline a question: between two of them the terminal is in its usual mode, where Ctrl-C is a signal and what is typed
 * waits for the next question. The history lives in memory alone.
 */
function terminalLines({ input, output, marksPastes }: LineStreams): LineInput {
  let history: string[] = [];
  /** What stood behind the last line break of a paste: the beginning of the next line. */
  let rest = '';
  let closeNow: (() => void) | undefined;
  return {
    ask(prompt) {
      const { promise, resolve } = Promise.withResolvers<Typed>();
      const reader = createInterface({
        input,
        output,
        prompt,
        terminal: true,
        history,
        historySize: CLI.maxTypedHistory,
      });
      const lines: string[] = [];
      let answered = false;
      /** A marked paste may come in several reads, and its last line is still edited: it ends with Enter. */
      let pasting = false;
      /** Enter was pressed, and what came with it is still being read. */
      let ending = false;
      const onKey = (_: unknown, key: { readonly name?: string } | undefined) => {
        if (key?.name === 'paste-start') pasting = true;
        if (key?.name === 'paste-end') pasting = false;
      };
      input.on('keypress', onKey);
      if (marksPastes) output.write(MARK_PASTES);
      const answer = (typed: Typed) => {
        answered = true;
        resolve(typed);
        reader.close();
      };
      closeNow = () => reader.close();
      reader.on('history', (typed: string[]) => {
        history = [...typed];
      });
      reader.on('SIGINT', () => {
        output.write('\n');
        answer({ kind: 'interrupt', text: [...lines, reader.line].join('\n') });
      });
      // Lines that come in one go are one text: they were pasted where the terminal does not mark it.
      const finish = () => {
        ending = false;
        if (answered || pasting) return;
        rest = reader.line;
        if (rest !== '') output.write('\n');
        answer({ kind: 'line', text: lines.join('\n').replace(/\n$/, '') });
      };
      reader.on('line', (line) => {
        lines.push(line);
        if (pasting || ending) return;
        ending = true;
        setImmediate(finish);
      });
      reader.once('close', () => {
        closeNow = undefined;
        input.off('keypress', onKey);
        if (marksPastes) output.write(MARK_NO_PASTES);
        if (answered || ending) return;
        output.write('\n');
        resolve({ kind: 'end' });
      });
      reader.prompt();
      if (rest !== '') reader.write(rest);
      rest = '';
      return promise;
    },
    close: () => closeNow?.(),
  };
}

function pipedLines(input: NodeJS.ReadableStream): LineInput {
  const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const lines = reader[Symbol.asyncIterator]();
  return {
    async ask() {
      const next = await lines.next();
      return next.done === true ? { kind: 'end' } : { kind: 'line', text: next.value };
    },
    close: () => reader.close(),
  };
}
