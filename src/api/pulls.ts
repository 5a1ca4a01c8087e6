/** Pulls on the control surface, and what both surfaces need to stream one. */

import type { FastifyInstance } from 'fastify';
import type { Clock } from '../clock.ts';
import { type PullState, pullRequest } from '../contract/pulls.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { logDefect } from '../telemetry/defect.ts';
import type { Logger } from '../telemetry/logger.ts';
import { readBody, readJson } from './body.ts';
import { ClientStream } from './client-stream.ts';
import { type Dialect, errorAnswer, errorBody } from './dialect.ts';
import type { Exchange, Exchanges } from './exchange.ts';
import type { Pulls } from './ports.ts';

export interface PullDeps {
  readonly pulls: Pulls;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a surface tells of a pull. */
export interface PullFormat {
  readonly dialect: Dialect;
  /** A line without its end. */
  line(state: PullState): object;
  success(last: PullState): object;
}

const CONTROL: PullFormat = {
  dialect: 'control',
  line: (state) => state,
  success: ({ model, source }) => ({ status: 'success', model, source }),
};

interface ByName {
  readonly Params: { readonly '*': string };
}

export function pullRoutes(app: FastifyInstance, deps: PullDeps & { readonly exchanges: Exchanges }): void {
  const { pulls, exchanges } = deps;

  app.post('/model/pull', async (request, reply) => {
    const { model, stream } = readBody(pullRequest, await readJson(request.raw));
    const exchange = exchanges.open(reply.raw, 'endless');
    if (stream === false) return wholePull(exchange, model, CONTROL, deps);
    reply.hijack();
    await streamPull(exchange, model, CONTROL, deps);
    return reply;
  });

  app.get('/model/pull/progress', () => ({ pulls: pulls.states() }));

  // Names hold slashes, which some clients send as they are and others as %2F.
  app.delete<ByName>('/model/*', async (request, reply) => {
    const model = request.params['*'];
    await pulls.remove(model, exchanges.open(reply.raw).signal);
    return { status: 'removed', model };
  });
}

/**
 * Streams a pull, a line for each step. Until a source is found nothing is sent, so that what cannot begin fails with a
 * status of its own. Never throws.
 */
export async function streamPull(
  exchange: Exchange,
  model: string,
  format: PullFormat,
  { pulls, clock, log }: PullDeps,
): Promise<void> {
  let latest: PullState | undefined;
  const text = (line: object) => `${JSON.stringify(line)}\n`;
  const frame = {
    contentType: 'application/x-ndjson',
    // A blank line would kill clients.
    keepAlive: () => text(latest === undefined ? { status: 'waiting' } : format.line(latest)),
    error: (error: GoGridError) => `${errorBody(format.dialect, error)}\n`,
    errorAnswer: (error: GoGridError) => errorAnswer(format.dialect, error),
    cutAfterError: true,
  };
  const stream = new ClientStream(exchange, frame, clock);
  try {
    for await (const state of pulls.pull(model, exchange.signal)) {
      latest = state;
      if (state.state === 'done') break;
      if (state.source === '' && state.state === 'starting') continue;
      stream.write(text(format.line(state)));
      if (stream.full) await stream.drained();
    }
    if (latest?.state !== 'done') throw unended();
    stream.end(text(format.success(latest)));
  } catch (thrown) {
    const error = exchange.endedBy ?? toGoGridError(thrown);
    if (error.code === 'internal') logDefect(log, error);
    stream.fail(error);
  } finally {
    stream.release();
  }
}

/** One answer when it is over. @throws GoGridError */
export async function wholePull(
  exchange: Exchange,
  model: string,
  format: PullFormat,
  { pulls }: PullDeps,
): Promise<object> {
  let latest: PullState | undefined;
  try {
    for await (const state of pulls.pull(model, exchange.signal)) latest = state;
  } catch (thrown) {
    throw exchange.endedBy ?? thrown;
  }
  if (latest?.state !== 'done') throw unended();
  return format.success(latest);
}

function unended(): GoGridError {
  return new GoGridError({ code: 'engine_failed', message: 'the pull stopped without its end' });
}
