/**
 * What the program may say about itself. A log line is a message and fields; neither ever holds text of a prompt or an
 * answer, a secret, or, at `info` and above, any text that came from the network.
 */

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type LogFields = Readonly<Record<string, unknown>>;

/** Fields first, as pino has it, so that any pino logger is a `Logger`. */
type LogFn = (fields: LogFields, message: string) => void;

export interface Logger {
  readonly trace: LogFn;
  readonly debug: LogFn;
  readonly info: LogFn;
  readonly warn: LogFn;
  readonly error: LogFn;
  /** The same logger with fields that every line carries, such as `{ part: 'network' }`. */
  child(fields: LogFields): Logger;
}

const nothing: LogFn = () => {};

/** Says nothing; for tests and for parts that run before there is anywhere to write. */
export const silentLogger: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};
