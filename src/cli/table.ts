/** Tables and lists of facts, as wide as the terminal and not wider. */

import { CLI } from '../limits/program.ts';
import { cut, displayWidth, type Paint, printable, type Style } from './text.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut when the table is wider than the terminal. */
  readonly shrinks?: boolean;
}

export type Cell = string | { readonly text: string; readonly style: Style };

export interface Sheet {
  /** Width of the terminal; undefined for a file or a pipe, where nothing is cut. */
  readonly columns: number | undefined;
  readonly paint: Paint;
}

const GAP = '  ';
const MIN_CELL = 8;

/** Draws a table: titles, then a line per row; a newline at the end of each. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly Cell[])[], sheet: Sheet): string {
  const texts = rows.map((row) => columns.map((_, index) => printable(textOf(row[index]))));
  const natural = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...texts.map((row) => displayWidth(row[index] ?? ''))),
  );
  const widths = shrink(columns, natural, sheet.columns);
  const line = (cells: readonly string[], styles: readonly (Style | undefined)[]) =>
    columns
      .map((column, index) => {
        const width = widths[index] ?? 0;
        const text = cut(cells[index] ?? '', width);
        const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
        const style = styles[index];
        const painted = style === undefined ? text : sheet.paint(style, text);
        return column.align === 'right' ? `${space}${painted}` : `${painted}${space}`;
      })
      .join(GAP)
      .trimEnd();
  const head = line(
    columns.map((column) => column.title),
    columns.map(() => 'dim'),
  );
  const body = rows.map((row, index) =>
    line(
      texts[index] ?? [],
      columns.map((_, cell) => styleOf(row[cell])),
    ),
  );
  return [head, ...body].map((each) => `${each}\n`).join('');
}

/** Draws facts below each other, values aligned: `name   value`. */
export function renderFacts(facts: readonly (readonly [string, Cell])[], sheet: Sheet): string {
  const width = Math.max(0, ...facts.map(([name]) => displayWidth(name)));
  return facts
    .map(([name, cell]) => {
      const text = printable(textOf(cell));
      const style = styleOf(cell);
      const label = sheet.paint('dim', name) + ' '.repeat(width - displayWidth(name));
      return `${label}${GAP}${style === undefined ? text : sheet.paint(style, text)}\n`;
    })
    .join('');
}

function shrink(columns: readonly Column[], natural: readonly number[], available: number | undefined): number[] {
  const widths = [...natural];
  if (available === undefined) return widths;
  const room = Math.max(available, CLI.minColumns) - GAP.length * (columns.length - 1);
  for (let excess = sum(widths) - room; excess > 0; excess--) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const width = widths[index] ?? 0;
      if (column.shrinks === true && width > MIN_CELL && width > (widths[widest] ?? 0)) widest = index;
    }
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function textOf(cell: Cell | undefined): string {
  return cell === undefined ? '' : typeof cell === 'string' ? cell : cell.text;
}

function styleOf(cell: Cell | undefined): Style | undefined {
  return typeof cell === 'object' ? cell.style : undefined;
}
