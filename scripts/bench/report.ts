/** Results on disk and on paper: one JSON a benchmark, and docs/benchmarks.md made from all of them. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import path from 'node:path';

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly target: string;
  readonly met: boolean;
}

export interface Outcome {
  readonly figures: readonly Figure[];
  /** Everything measured, a flat object a row. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

export interface Benchmark {
  readonly name: string;
  readonly title: string;
  /** @param scale share of the usual number of rounds, above 0 */
  run(scale: number): Promise<Outcome>;
}

interface Result extends Outcome {
  readonly name: string;
  readonly title: string;
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly command: string;
}

const ROOT = path.resolve(import.meta.dirname, '../..');
const FOLDER = path.join(ROOT, 'docs/benchmarks');

export function keep(benchmark: Benchmark, outcome: Outcome): void {
  const result: Result = {
    name: benchmark.name,
    title: benchmark.title,
    date: new Date().toISOString().slice(0, 10),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim(),
    machine: `${availableParallelism()} cores of ${cpus()[0]?.model.trim() || 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
    command: `npm run bench -- ${benchmark.name}`,
    ...outcome,
  };
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(path.join(FOLDER, `${benchmark.name}.json`), `${JSON.stringify(result, roundNumbers, 2)}\n`);
  writeFileSync(path.join(ROOT, 'docs/benchmarks.md'), page(readAll()));
}

/** The figures and the rows as a person reads them on a terminal. */
export function show(outcome: Outcome): string {
  return `${table(outcome.rows)}\n\n${table(outcome.figures.map(asRow))}\n`;
}

function readAll(): Result[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
  return files.toSorted().map((file) => JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8')) as Result);
}

function page(results: readonly Result[]): string {
  const sections = results.map(
    ({ title, date, commit, machine, command, figures, rows }) =>
      `## ${title}\n\n\`${command}\`, ${date}, commit ${commit}, ${machine}.\n\n${table(figures.map(asRow))}\n\n${table(rows)}\n`,
  );
  return `# Benchmarks\n\nMade by \`npm run bench\`; not written by hand. Everything in one table was measured in one run, in turn, on one machine\nthat was also doing other things: compare within a table, not between them.\n\n${sections.join('\n')}`;
}

function asRow({ what, value, unit, target, met }: Figure): Record<string, unknown> {
  return {
    figure: what,
    measured: `${format(value)} ${unit}`,
    target: `${target} ${unit}`,
    met: met ? 'yes' : '**no**',
  };
}

function table(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = rows.map((row) => columns.map((column) => format(row[column])));
  const widths = columns.map((column, i) => Math.max(column.length, ...lines.map((cells) => cells[i]?.length ?? 0)));
  const draw = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [draw(columns), draw(widths.map((width) => '-'.repeat(width))), ...lines.map(draw)].join('\n');
}

function format(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(3);
  return value === null || value === undefined ? '–' : String(value);
}

function roundNumbers(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
}
