/** What somebody types, line by line: node:readline with editing and history on a terminal, lines of a pipe else. */

import { createInterface } from 'node:readline';
import { CLI } from '../limits.ts';
import type { LineInput, Typed } from './world.ts';

export interface LineStreams {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** Lines of a terminal where both ends are one, else those of a pipe or a file. */
export function lineInput(streams: LineStreams): LineInput {
  const onTerminal = streams.input.isTTY === true && streams.output.isTTY === true;
  return onTerminal ? terminalLines(streams) : pipedLines(streams.input);
}

/**
 * One readline a question: between two of them the terminal is in its usual mode, where Ctrl-C is a signal and what is typed
 * waits for the next question. The history lives in memory alone.
 */
function terminalLines({ input, output }: LineStreams): LineInput {
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
        answer({ kind: 'interrupt', text: reader.line });
      });
      // Lines that come in one go were pasted: they are one text.
      reader.on('line', (line) => {
        if (lines.push(line) > 1) return;
        setImmediate(() => {
          rest = reader.line;
          if (rest !== '') output.write('\n');
          answer({ kind: 'line', text: lines.join('\n') });
        });
      });
      reader.once('close', () => {
        closeNow = undefined;
        if (answered || lines.length > 0) return;
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
