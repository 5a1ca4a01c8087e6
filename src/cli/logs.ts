/** `gogrid logs` */

import type { LogList } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { API } from '../limits/api.ts';
import { LOG_LEVELS, type LogLevel } from '../telemetry/logger.ts';
import { usage } from './arguments.ts';
import { type Call, flagOf } from './command.ts';
import { connect, type NodeClient } from './node-client.ts';
import { wholeNumber } from './numbers.ts';
import { resolveSettings } from './settings.ts';
import { jsonFor, type Paint, printable, type Style } from './text.ts';
import type { StoredLogLine } from './world.ts';

export async function run(call: Call): Promise<number> {
  if (call.words.length > 0) throw usage(`logs takes no '${call.words[0]}'`, 'logs');
  const lines = wholeNumber(
    '--lines',
    flagOf(call, 'lines') ?? String(API.defaultLogLines),
    1,
    API.maxLogLines,
    'logs',
  );
  const level = readLevel(flagOf(call, 'level') ?? 'trace');
  if (call.flags.has('follow')) return follow(call, await connect(call.home), lines, level);
  for (const line of await lastLines(call, lines, level)) print(call, line);
  return 0;
}

function readLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((each) => each === text);
  if (level === undefined) throw usage(`--level: '${text}' is not one of ${LOG_LEVELS.join(', ')}`, 'logs');
  return level;
}

/** From the running node, or from the file of one that ended: why it ended is often the question. */
async function lastLines(call: Call, lines: number, level: LogLevel): Promise<readonly StoredLogLine[]> {
  try {
    const node = await connect(call.home);
    return (await node.ask<LogList>({ path: `/logs?lines=${lines}&level=${level}` })).lines;
  } catch (thrown) {
    if (!(thrown instanceof GoGridError) || thrown.code !== 'node_not_running') throw thrown;
    const { config } = await resolveSettings(call);
    return call.home.tailLog(config.logging.log_file, lines, level);
  }
}

async function follow(call: Call, node: NodeClient, lines: number, level: LogLevel): Promise<number> {
  const aborter = new AbortController();
  const stopListening = call.world.onSignal(() => aborter.abort());
  try {
    const path = `/logs?follow=true&lines=${lines}&level=${level}`;
    const stream = await node.stream({ path, signal: aborter.signal });
    for await (const text of stream.lines) {
      const line = readLine(text);
      if (line !== undefined) print(call, line);
    }
    // The node ended, and with it its log.
    return 0;
  } catch (thrown) {
    if (aborter.signal.aborted) return 0;
    throw thrown;
  } finally {
    stopListening();
  }
}

function readLine(text: string): StoredLogLine | undefined {
  try {
    const line = JSON.parse(text) as StoredLogLine;
    return typeof line.message === 'string' ? line : undefined;
  } catch {
    return undefined;
  }
}

function print(call: Call, line: StoredLogLine): void {
  const { stdout } = call.world;
  stdout.write(`${call.json ? jsonFor(stdout, JSON.stringify(line)) : renderLogLine(line, call.paint)}\n`);
}

const LEVEL_STYLES: Readonly<Record<string, Style>> = { error: 'red', warn: 'yellow', debug: 'dim', trace: 'dim' };

/** `2026-01-31 14:03:27.123 warn  network   a peer does not answer peer=12D3…` */
export function renderLogLine(line: StoredLogLine, paint: Paint): string {
  const { time, level, part, message, ...fields } = line;
  const style = LEVEL_STYLES[level];
  const shownLevel = printable(level).padEnd(5);
  const rest = Object.entries(fields).map(([name, value]) => {
    return `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
  });
  return [
    paint('dim', clockTime(time)),
    style === undefined ? shownLevel : paint(style, shownLevel),
    ...(part === undefined ? [] : [printable(String(part)).padEnd(9)]),
    printable(message),
    ...(rest.length === 0 ? [] : [paint('dim', printable(rest.join(' ')))]),
  ].join(' ');
}

/** Date and time in the reader's time zone, to the millisecond. */
function clockTime(time: number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '-';
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const milliseconds = String(date.getMilliseconds()).padStart(3, '0');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}
