/** One generation on its way out: the pace, the stop sequences, the faults, and the client that may go away. */

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FakeCall, FakeFault } from './settings.ts';

/** A piece of the answer as one line carries it: text of one or, behind a partial stop sequence, several tokens. */
interface Piece {
  readonly text: string;
  /** Tokens generated so far, this piece included. */
  readonly tokens: number;
}

export interface Ended {
  readonly reason: 'stop' | 'length';
  readonly tokens: number;
}

export interface Plan {
  readonly tokens: Iterable<string>;
  readonly stop: readonly string[];
  /** Most tokens to generate; 0 or less: no limit, as Ollama has it. */
  readonly limit: number;
  readonly tokensPerSecond: number;
  readonly fault: FakeFault | undefined;
  /** The line that carries a piece; empty when the answer is to come in one object at the end. */
  readonly line: (text: string) => string;
}

/** A client that hung up, or a fault that ended the answer: nothing more is to be sent. */
export class Gone extends Error {}

const BATCH = 64;
const OUT_OF_MEMORY = 'model requires more system memory (48.5 GiB) than is available (11.2 GiB)';
const OUT_OF_MEMORY_LATER = 'an error was encountered while running the model: CUDA error: out of memory';
const QUEUE_FULL = 'server busy, please try again.  maximum pending requests exceeded';

/**
 * Holds text back while it may be the beginning of a stop sequence, and ends at one, as Ollama's runner does.
 * The generator's return value says how it ended.
 */
export function* pieces(plan: Plan): Generator<Piece, Ended> {
  let held = '';
  let count = 0;
  for (const token of plan.tokens) {
    held += token;
    count++;
    const at = Math.min(...plan.stop.map((stop) => held.indexOf(stop)).filter((index) => index >= 0));
    if (Number.isFinite(at)) {
      if (at > 0) yield { text: held.slice(0, at), tokens: count };
      return { reason: 'stop', tokens: count };
    }
    if (count === plan.limit) {
      yield { text: held, tokens: count };
      return { reason: 'length', tokens: count };
    }
    if (plan.stop.some((stop) => endsWithStartOf(held, stop))) continue;
    yield { text: held, tokens: count };
    held = '';
  }
  if (held !== '') yield { text: held, tokens: count };
  return { reason: 'stop', tokens: count };
}

function endsWithStartOf(text: string, stop: string): boolean {
  for (let length = Math.min(stop.length, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return true;
  }
  return false;
}

/**
 * Sends the answer's lines at the plan's pace, and waits while the client does not read.
 * @throws Gone when the client hung up or a fault ended it
 */
export async function sendPieces(response: ServerResponse, call: FakeCall, plan: Plan): Promise<Ended> {
  const source = pieces(plan);
  const faultAt = plan.fault?.afterTokens ?? 0;
  let rate = plan.tokensPerSecond;
  let fault = plan.fault;
  let paceFrom = performance.now();
  let paced = call.tokens;
  const before = call.tokens;
  const change = async (how: FakeFault) => {
    fault = undefined;
    if (!goesOn(how)) await fail(response, call, how);
    if (how.kind === 'slow') rate = how.tokensPerSecond ?? 1;
    else await pause(response, how.ms ?? 0);
    paceFrom = performance.now();
    paced = call.tokens;
  };
  if (fault !== undefined && faultAt === 0) await change(fault);
  for (;;) {
    response.cork();
    for (let index = 0; index < (rate > 0 ? 1 : BATCH); index++) {
      const next = source.next();
      if (next.done === true) {
        response.uncork();
        return next.value;
      }
      call.tokens = before + next.value.tokens;
      write(response, call, plan.line(next.value.text));
      if (fault !== undefined && call.tokens >= faultAt) break;
    }
    response.uncork();
    if (fault !== undefined && call.tokens >= faultAt) await change(fault);
    const dueMs = rate > 0 ? paceFrom + ((call.tokens - paced) * 1000) / rate - performance.now() : 0;
    await pause(response, Math.max(0, dueMs));
  }
}

/** Writes one line of the body; the first one sends the headers, as Ollama does. */
export function write(response: ServerResponse, call: FakeCall, line: string): void {
  if (line === '') return;
  if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  call.firstAt ??= Date.now();
  call.bytes += Buffer.byteLength(line);
  response.write(line);
}

/**
 * Waits `ms`, and until the client has taken what was written.
 * @throws Gone when it hangs up meanwhile
 */
export async function pause(response: ServerResponse, ms: number): Promise<void> {
  if (ms > 0) {
    const closed = new AbortController();
    const close = () => closed.abort();
    response.once('close', close);
    await sleep(ms, undefined, { signal: closed.signal }).catch(() => {});
    response.off('close', close);
  } else {
    await new Promise(setImmediate);
  }
  // The socket is asked: a response that was corked forgets that it needs to be drained.
  while (response.socket?.writableNeedDrain === true && !response.destroyed) {
    const settled = new AbortController();
    const { signal } = settled;
    await Promise.race([once(response.socket, 'drain', { signal }), once(response.socket, 'close', { signal })]);
    settled.abort();
  }
  if (response.destroyed) throw new Gone();
}

/** Whether an answer with this fault comes to its end all the same. */
export function goesOn({ kind }: FakeFault): boolean {
  return kind === 'slow' || kind === 'pause';
}

/** Waits for the client to hang up. */
async function untilGone(response: ServerResponse): Promise<never> {
  if (!response.destroyed) await new Promise((resolve) => response.once('close', resolve));
  throw new Gone();
}

/**
 * Carries a fault out; the answer does not go on.
 * @throws Gone always
 */
export async function fail(response: ServerResponse, call: FakeCall, fault: FakeFault): Promise<never> {
  const begun = response.headersSent;
  switch (fault.kind) {
    case 'stall':
      return untilGone(response);
    case 'die':
      if (fault.how !== 'socket') process.exit(1);
      response.destroy();
      throw new Gone();
    case 'cut':
      break;
    case 'garbage':
      write(response, call, '<html>502 Bad Gateway</html>\n');
      break;
    case '503':
      refuse(response, call, 503, fault.message ?? QUEUE_FULL);
      break;
    case 'oom':
      refuse(response, call, 500, fault.message ?? (begun ? OUT_OF_MEMORY_LATER : OUT_OF_MEMORY));
      break;
    default:
      refuse(response, call, 500, fault.message ?? 'an error was encountered while running the model: unexpected EOF');
  }
  response.end();
  throw new Gone();
}

/** An error as Ollama sends it: with a status before the first line, as a line behind it. */
export function refuse(response: ServerResponse, call: FakeCall, status: number, error: string): void {
  if (response.headersSent) {
    write(response, call, `${JSON.stringify({ error })}\n`);
    response.end();
    return;
  }
  call.status = status;
  sendJson(response, status, { error });
}

/** One JSON object as the whole body; returns its bytes. */
export function sendJson(response: ServerResponse, status: number, value: unknown): number {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': body.length });
  response.end(body);
  return body.length;
}
