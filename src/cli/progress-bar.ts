/** How far a pull is: one line that is drawn anew on a terminal, a plain line now and then anywhere else. */

import type { PullState } from '../contract/pulls.ts';
import { CLI } from '../limits/program.ts';
import { cut, displayWidth, formatBytes, formatDuration, type Paint, painter, printable } from './text.ts';
import type { World } from './world.ts';

const FULL = '█';
const EMPTY = '░';
/** Narrower than this it says nothing. */
const MIN_BAR = 8;
const MAX_BAR = 40;
const BAR_STEP = 4;
/** Percent between two plain lines. */
const PLAIN_STEP = 10;
const CLEAR_LINE = '\r\u001b[K';

/** What a line about a pull says, such as `smollm2:135m  ████░░░░  48%  47.2 of 98.4 MB  12.1 MB/s  4s left`. */
export function pullLine(state: PullState, columns: number, paint: Paint): string {
  const name = printable(state.model);
  const facts = factsOf(state);
  const room = columns - 1 - displayWidth(name) - facts.reduce((width, fact) => width + displayWidth(fact) + 2, 2);
  const percent = percentOf(state);
  if (percent === undefined || room < MIN_BAR) return cut([name, ...facts].join('  '), columns - 1);
  // In steps, so that the bar does not shiver with every digit of the amounts.
  const width = Math.min(MAX_BAR, room - (room % BAR_STEP));
  const filled = Math.floor((width * percent) / 100);
  const bar = paint('green', FULL.repeat(filled)) + paint('dim', EMPTY.repeat(width - filled));
  return [name, bar, ...facts].join('  ');
}

function factsOf(state: PullState): string[] {
  const amounts = amountsOf(state);
  if (state.state === 'downloading' && amounts.length > 0) return amounts;
  return [printable(state.status), ...amounts];
}

function amountsOf(state: PullState): string[] {
  const percent = percentOf(state);
  const { bytes, totalBytes, bytesPerSecond, secondsLeft } = state;
  if (percent === undefined) return [];
  return [
    `${percent}%`,
    `${amount(bytes)} of ${amount(totalBytes)}`,
    ...(bytesPerSecond === null ? [] : [`${amount(bytesPerSecond)}/s`]),
    ...(secondsLeft === null ? [] : [`${formatDuration(Math.ceil(secondsLeft))} left`]),
  ];
}

function amount(bytes: number): string {
  return bytes < 1 ? '0 B' : formatBytes(bytes);
}

/** Whole percent; undefined where the step has no bytes to count. */
function percentOf({ bytes, totalBytes, state }: PullState): number | undefined {
  if (totalBytes <= 0 || state === 'starting') return undefined;
  return Math.min(100, Math.floor((bytes / totalBytes) * 100));
}

/** Draws on standard error: what a command prints on standard output stays clean. */
export class ProgressBar {
  readonly #world: Pick<World, 'stderr' | 'env' | 'now'>;
  readonly #paint: Paint;
  #drawn = '';
  #step = '';
  #saidPercent = 0;
  #saidAt = 0;

  constructor(world: Pick<World, 'stderr' | 'env' | 'now'>) {
    this.#world = world;
    this.#paint = painter(world, world.stderr);
  }

  show(state: PullState): void {
    if (this.#world.stderr.isTty) this.#draw(state);
    else this.#say(state);
  }

  /** Takes the line away, so that something else can be printed. */
  clear(): void {
    if (this.#drawn !== '') this.#world.stderr.write(CLEAR_LINE);
    this.#drawn = '';
  }

  #draw(state: PullState): void {
    const columns = this.#world.stderr.columns ?? CLI.defaultColumns;
    const line = pullLine(state, columns, this.#paint);
    if (line === this.#drawn) return;
    this.#world.stderr.write(`${CLEAR_LINE}${line}`);
    this.#drawn = line;
  }

  #say(state: PullState): void {
    const { state: step, source, digest } = state;
    const percent = percentOf(state) ?? 0;
    const key = `${step} ${source} ${digest}`;
    const isNew = key !== this.#step;
    const isDue = percent >= this.#saidPercent + PLAIN_STEP || this.#world.now() - this.#saidAt >= CLI.plainProgressMs;
    if (!isNew && !isDue) return;
    this.#step = key;
    this.#saidPercent = percent - (percent % PLAIN_STEP);
    this.#saidAt = this.#world.now();
    const from = step === 'downloading' || step === 'copying' ? ` from ${printable(source)}` : '';
    const amounts = amountsOf(state).map((fact) => `, ${fact}`);
    this.#world.stderr.write(`${printable(state.model)}: ${printable(state.status)}${from}${amounts.join('')}\n`);
  }
}
