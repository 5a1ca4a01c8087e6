import { describe, expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import { createLogger } from './create-logger.ts';
import type { LogLevel } from './logger.ts';

function loggerOf(level: LogLevel, json: boolean) {
  const file: string[] = [];
  const stderr: string[] = [];
  const logger = createLogger(
    { level, json },
    { file: { write: (line) => file.push(line) }, stderr: { write: (line) => stderr.push(line) } },
  );
  return { logger, file, stderr };
}

describe('the logger', () => {
  it('writes one line of JSON per event, with the names that GET /logs has', () => {
    const { logger, file } = loggerOf('info', false);
    logger.child({ part: 'network' }).info({ peers: 3 }, 'joined the mesh');
    expect(file).toHaveLength(1);
    expect(file[0]).toMatch(/^\{[^\n]*\}\n$/);
    expect(JSON.parse(file[0] ?? '')).toEqual({
      level: 'info',
      time: expect.any(Number),
      part: 'network',
      peers: 3,
      message: 'joined the mesh',
    });
  });

  it('leaves out what is below its level', () => {
    const { logger, file } = loggerOf('warn', false);
    logger.debug({}, 'a');
    logger.info({}, 'b');
    logger.warn({}, 'c');
    expect(file).toHaveLength(1);
  });

  it('shows a person warnings and errors alone, as plain lines', () => {
    const { logger, stderr } = loggerOf('trace', false);
    logger.info({}, 'nothing to see');
    logger.warn({ part: 'engine', url: 'http://127.0.0.1:11434' }, 'does not answer');
    logger.error({ error: new GoGridError({ code: 'port_in_use', message: 'port 1 is\nbusy' }) }, 'cannot start');
    expect(stderr).toEqual([
      'warning: engine: does not answer (url=http://127.0.0.1:11434)\n',
      'error: cannot start (code=port_in_use error=port 1 is busy)\n',
    ]);
  });

  it('gives a program every line on standard error', () => {
    const { logger, file, stderr } = loggerOf('info', true);
    logger.info({}, 'a');
    logger.error({}, 'b');
    expect(stderr).toEqual(file);
    expect(stderr).toHaveLength(2);
  });

  it('writes errors with their causes, not deeper than is of use', () => {
    const { logger, file } = loggerOf('info', false);
    const circular = new Error('outer', { cause: new Error('inner') });
    (circular.cause as Error).cause = circular;
    logger.error({ error: circular }, 'broke');
    const { error } = JSON.parse(file[0] ?? '');
    expect(error).toMatchObject({ message: 'outer', stack: expect.any(String), cause: { message: 'inner' } });
    expect(error.cause.cause.cause.cause.cause).toBeUndefined();
  });
});
