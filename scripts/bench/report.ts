/** Results on disk and on paper: one JSON a benchmark, and docs/benchmarks.md made from all of them. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import path from 'node:path';

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** Absent where the figure is only told. */
  readonly target?: string;
  readonly met?: boolean;
}

export interface Outcome {
  readonly figures: readonly Figure[];
  /** Everything measured, a flat object a row. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Sentences: how something was counted, and what was left out and why. */
  readonly notes?: readonly string[];
}

export interface RunOptions {
  /** Share of the usual number of rounds, above 0. */
  readonly scale: number;
  /** The bundle to measure: its `gogrid.js`. */
  readonly program: string;
  /** Another build, to be measured in turn with it where that makes sense. */
  readonly beside: string | undefined;
}

export interface Benchmark {
  readonly name: string;
  readonly title: string;
  /** Runs in a network namespace of its own where the system allows it, so that its traffic can be counted. */
  readonly countsTraffic?: boolean;
  run(options: RunOptions): Promise<Outcome>;
}

interface Result extends Outcome {
  readonly name: string;
  readonly title: string;
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  /** Processes that wanted a core in the minute before (load average). */
  readonly loadBefore: number;
  readonly command: string;
}

const ROOT = path.resolve(import.meta.dirname, '../..');
const FOLDER = path.join(ROOT, 'docs/benchmarks');

export function keep(benchmark: Benchmark, outcome: Outcome, loadBefore: number): void {
  const result: Result = {
    name: benchmark.name,
    title: benchmark.title,
    date: new Date().toISOString().slice(0, 10),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim(),
    machine: `${availableParallelism()} cores of ${cpus()[0]?.model.trim() || 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
    loadBefore,
    command: `npm run bench -- ${benchmark.name}`,
    ...outcome,
  };
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(path.join(FOLDER, `${benchmark.name}.json`), `${JSON.stringify(result, roundNumbers, 2)}\n`);
  writeFileSync(path.join(ROOT, 'docs/benchmarks.md'), page(readAll()));
}

/** The figures and the rows as a person reads them on a terminal. */
export function show(outcome: Outcome): string {
  return [table(outcome.rows), table(outcome.figures.map(asRow)), ...(outcome.notes ?? []), ''].join('\n\n');
}

function readAll(): Result[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
  const results = files.map((file) => JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8')) as Result);
  return results.toSorted((a, b) => a.title.localeCompare(b.title, 'en', { numeric: true }));
}

const INTRODUCTION = `# Benchmarks

Made by \`npm run bench\`; not written by hand. Everything in one table was measured in one run, in turn, on one machine:
compare within a table, not between them, and the less the lower the load average was. Times of single steps are medians.

\`npm run bench\` runs all, \`npm run bench -- hop join --scale 0.1\` two of them for a look, without keeping the results.
It measures \`dist/\`, or with \`--program\` another build; \`--beside\` measures a second build in turn with it. LiteLLM is
installed into the user's cache folder the first time. The benchmarks need Linux.
`;

function page(results: readonly Result[]): string {
  const sections = results.map(
    ({ title, date, commit, machine, loadBefore, command, figures, rows, notes = [] }) =>
      `${[
        `## ${title}`,
        `\`${command}\`, ${date}, commit ${commit}, ${machine}, load average ${format(loadBefore)} before.`,
        table(figures.map(asRow)),
        table(rows),
        ...notes,
      ].join('\n\n')}\n`,
  );
  return `${INTRODUCTION}\n${sections.join('\n')}`;
}

function asRow({ what, value, unit, target, met }: Figure): Record<string, unknown> {
  return {
    figure: what,
    measured: `${format(value)} ${unit}`,
    target: target === undefined ? undefined : `${target} ${unit}`,
    met: met === undefined ? undefined : met ? 'yes' : '**no**',
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
