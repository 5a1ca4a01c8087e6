import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { lineInput } from './line-input.ts';
import type { LineInput } from './world.ts';

let lines: LineInput | undefined;
afterEach(() => lines?.close());

/** A terminal of which the test is the keyboard. */
function terminal(marksPastes = true) {
  const input = Object.assign(new PassThrough(), { isTTY: true });
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  let shown = '';
  output.on('data', (data: Buffer) => {
    shown += data.toString();
  });
  lines = lineInput({ input, output, marksPastes });
  return { lines, input, shown: () => shown };
}

const [BEGIN, END] = ['\u001b[200~', '\u001b[201~'];

/** What arrives in one read; the next read comes when this one was dealt with. */
async function arrives(input: PassThrough, text: string): Promise<void> {
  input.write(text);
  // The terminal’s reads and the answer of a line each take a turn.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('the lines of a terminal', () => {
  it('take a paste that comes in several reads as one text, which Enter ends', async () => {
    const { lines, input } = terminal();
    const typed = lines.ask('> ');
    await arrives(input, `${BEGIN}one\r`);
    await arrives(input, 'two\rthr');
    await arrives(input, `ee${END}`);
    await arrives(input, '!\r');
    expect(await typed).toEqual({ kind: 'line', text: 'one\ntwo\nthree!' });
  });

  it('take a paste with a line break at its end without it', async () => {
    const { lines, input } = terminal();
    const typed = lines.ask('> ');
    await arrives(input, `${BEGIN}one\rtwo\r${END}`);
    await arrives(input, '\r');
    expect(await typed).toEqual({ kind: 'line', text: 'one\ntwo' });
  });

  it('take lines that come in one go as one text where pastes are not marked', async () => {
    const { lines, input, shown } = terminal(false);
    const typed = lines.ask('> ');
    await arrives(input, 'one\rtwo\rthr');
    expect(await typed).toEqual({ kind: 'line', text: 'one\ntwo' });
    const next = lines.ask('> ');
    await arrives(input, 'ee\r');
    expect(await next).toEqual({ kind: 'line', text: 'three' });
    expect(shown()).not.toContain('\u001b[?2004');
  });

  it('throw a paste away at Ctrl-C, and leave at Ctrl-D', async () => {
    const { lines, input } = terminal();
    const first = lines.ask('> ');
    await arrives(input, `${BEGIN}one\rtwo${END}`);
    await arrives(input, '\u0003');
    expect(await first).toEqual({ kind: 'interrupt', text: 'one\ntwo' });
    const second = lines.ask('> ');
    await arrives(input, `${BEGIN}one\r${END}`);
    await arrives(input, '\u0004');
    expect(await second).toEqual({ kind: 'end' });
  });

  it('ask the terminal to mark pastes only while they wait', async () => {
    const { lines, input, shown } = terminal();
    const typed = lines.ask('> ');
    await arrives(input, 'hello\r');
    expect(await typed).toEqual({ kind: 'line', text: 'hello' });
    const [before, waiting, after] = shown().split('\u001b[?2004');
    expect([before, waiting?.[0], after]).toEqual(['', 'h', 'l']);
  });
});
