/**
 * The answer on the screen as it comes: a column of text, with the name of who writes it on the left. Where another one goes
 * on, its first line begins at the very column at which the text broke off, so that the text reads on unbroken.
 *
 * It only ever appends: nothing that was written is moved, on a terminal as in a file.
 */

import { displayWidth, type Paint, type Style } from '../text.ts';

export interface ColumnOptions {
  /** Columns of the terminal that may be used. */
  readonly columns: number;
  /** Of the names. */
  readonly nameColumns: number;
  readonly paint: Paint;
}

const MARGIN = '  ';
/** A space follows it where the line has text. */
const BAR = ' │';
const CUT = '✖ killed';

export class TextColumn {
  readonly #write: (text: string) => void;
  readonly #options: ColumnOptions;
  /** Columns for the text. */
  readonly #width: number;
  #style: Style = 'bold';
  /** Columns taken of the current line. */
  #at = 0;
  /** Columns of it that are to be left empty first: the line is another's continuation. */
  #indent = 0;
  /** Nothing was written on the current line. */
  #fresh = true;
  /** A word that is not complete: whether it fits on the line is not known yet. */
  #word = '';
  #space = false;
  #newlines = 0;

  constructor(write: (text: string) => void, options: ColumnOptions) {
    this.#write = write;
    this.#options = options;
    // Behind a full line there is room for the mark.
    this.#width = options.columns - MARGIN.length - options.nameColumns - BAR.length - CUT.length - 2;
  }

  /** From here on `name` writes. */
  begin(name: string, style: Style): void {
    this.#style = style;
    this.#indent = this.#at;
    this.#startLine(name);
  }

  /** More of the text, in any pieces. */
  add(text: string): void {
    for (const [piece] of text.matchAll(/\s+|\S+/g)) {
      if (/\S/.test(piece)) {
        for (const character of piece) {
          // Languages without spaces, and models without sense.
          if (displayWidth(this.#word + character) > this.#width) this.#placeWord();
          this.#word += character;
        }
      } else {
        this.#placeWord();
        this.#space = true;
        this.#newlines += piece.split('\n').length - 1;
      }
    }
  }

  /** The text breaks off here. */
  cut(): void {
    this.#placeWord();
    this.#write(` ${this.#options.paint('red', CUT)}`);
  }

  /** @param more whether the text would go on */
  end(more: boolean): void {
    this.#placeWord();
    this.#write(more ? `${this.#options.paint('dim', '…')}\n` : '\n');
    this.#at = 0;
  }

  #placeWord(): void {
    if (this.#word === '') return;
    const word = this.#word;
    this.#word = '';
    const width = displayWidth(word);
    const space = this.#space && this.#at > 0 ? 1 : 0;
    if (this.#newlines > 0 && this.#at > 0) {
      if (this.#newlines > 1) this.#startLine('');
      this.#startLine('');
      this.#newLine();
    } else if (this.#at > 0 && this.#at + space + width > this.#width) {
      this.#startLine('');
      this.#newLine();
    }
    this.#put(word);
  }

  #newLine(): void {
    this.#at = 0;
    this.#indent = 0;
  }

  #put(word: string): void {
    const space = this.#space && this.#at > 0 ? ' ' : '';
    const start = this.#fresh ? ' '.repeat(this.#indent + 1) : '';
    this.#fresh = false;
    this.#write(`${start}${space}${this.#options.paint(this.#style, word)}`);
    this.#at += space.length + displayWidth(word);
    this.#indent = 0;
    this.#space = false;
    this.#newlines = 0;
  }

  #startLine(name: string): void {
    const { paint, nameColumns } = this.#options;
    this.#fresh = true;
    const label = name === '' ? '' : paint(this.#style, name);
    this.#write(`\n${MARGIN}${label}${' '.repeat(nameColumns - displayWidth(name))}${paint('dim', BAR)}`);
  }
}
