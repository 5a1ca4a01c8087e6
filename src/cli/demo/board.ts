/**
 * Lines that change in place on a terminal, one for each node. Into a file or a pipe each line goes once, when it will not
 * change any more.
 */

import { cut, displayWidth, type Paint, type Style } from '../text.ts';
import type { Output } from '../world.ts';

export interface Row {
  readonly name: string;
  readonly style: Style;
  /** Plain text, with the style of all of it. */
  readonly text: string;
  readonly textStyle?: Style | undefined;
  /** It does not change any more. */
  readonly final: boolean;
}

const MARGIN = '  ';
const GAP = '   ';

export class Board {
  readonly #output: Output;
  readonly #paint: Paint;
  readonly #nameColumns: number;
  readonly #columns: number;
  readonly #rows = new Map<string, Row>();
  readonly #moves: boolean;
  #open = true;

  constructor(output: Output, options: { columns: number; nameColumns: number; paint: Paint; moves: boolean }) {
    this.#output = output;
    this.#paint = options.paint;
    this.#columns = options.columns;
    this.#nameColumns = options.nameColumns;
    this.#moves = options.moves;
  }

  /** Room for the text of a row. */
  get textColumns(): number {
    return this.#columns - MARGIN.length - this.#nameColumns - GAP.length;
  }

  /** Sets a row; a new one goes below the others. */
  set(row: Row): void {
    if (!this.#open) return;
    const isNew = !this.#rows.has(row.name);
    const wasFinal = this.#rows.get(row.name)?.final === true;
    this.#rows.set(row.name, row);
    if (!this.#moves) {
      if (row.final && !wasFinal) this.#output.write(`${this.#render(row)}\n`);
      return;
    }
    if (isNew) {
      this.#output.write(`${this.#render(row)}\n`);
      return;
    }
    const up = this.#rows.size - [...this.#rows.keys()].indexOf(row.name);
    // One write: up, the whole line anew, and back down.
    this.#output.write(`\u001b[${up}A\r\u001b[2K${this.#render(row)}\u001b[${up}B\r`);
  }

  /** Rows stay as they are from now on. */
  close(): void {
    this.#open = false;
  }

  #render({ name, style, text, textStyle }: Row): string {
    const gap = ' '.repeat(this.#nameColumns - displayWidth(name)) + GAP;
    const shown = cut(text, this.textColumns);
    const painted = textStyle === undefined ? shown : this.#paint(textStyle, shown);
    return `${MARGIN}${this.#paint(style, name)}${gap}${painted}`.trimEnd();
  }
}
