/** The one logger of a process: lines of JSON into the log file, and what a person should see on standard error. */

import { pino } from 'pino';
import { SHOWN } from '../limits/program.ts';
import type { LogFields, Logger, LogLevel } from './logger.ts';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Standard error gets every line as JSON; else only warnings and errors, each as one plain line. */
  readonly json: boolean;
}

export interface LoggerDependencies {
  /** Takes lines that end in a newline, and returns at once. */
  readonly file: { write(line: string): void };
  readonly stderr: { write(text: string): void };
}

/** What stands between the program and the people who read its log. */
export function createLogger(options: LoggerOptions, { file, stderr }: LoggerDependencies): Logger {
  const write = (line: string) => {
    file.write(line);
    if (options.json) stderr.write(line);
    else if (line.startsWith('{"level":"warn"') || line.startsWith('{"level":"error"')) stderr.write(plain(line));
  };
  return pino(
    {
      level: options.level,
      // Process id and host name would be the same in every line of a file that one process of one host writes.
      base: null,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (thrown: unknown) => describeError(thrown) },
    },
    { write },
  ) as Logger;
}

/** `warning: 12D3Koo… does not answer (part network)` */
function plain(line: string): string {
  const { level, time: _, message, part, error, ...rest } = JSON.parse(line) as LogFields;
  const fields = Object.entries({ ...rest, ...errorFields(error) }).map(
    ([name, value]) => `${name}=${showField(value)}`,
  );
  const word = level === 'warn' ? 'warning' : 'error';
  const where = typeof part === 'string' ? `${part}: ` : '';
  return `${word}: ${where}${String(message)}${fields.length > 0 ? ` (${fields.join(' ')})` : ''}\n`;
}

function errorFields(error: unknown): LogFields {
  if (typeof error !== 'object' || error === null) return error === undefined ? {} : { error };
  const { code, message } = error as LogFields;
  return { ...(code === undefined ? {} : { code }), ...(message === undefined ? {} : { error: message }) };
}

function showField(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ');
}

/** An error as a log line has it: message, code, stack, and the same of its causes. */
function describeError(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const code = 'code' in thrown && typeof thrown.code === 'string' ? { code: thrown.code } : {};
  const cause =
    thrown.cause === undefined || depth >= SHOWN.maxCauses ? {} : { cause: describeError(thrown.cause, depth + 1) };
  return { ...code, message: thrown.message, stack: thrown.stack, ...cause };
}
