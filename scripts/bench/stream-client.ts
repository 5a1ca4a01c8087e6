/** Reads streams whose tokens carry the time at which the engine wrote them (`stamps` of engine.ts). */

import { Agent, request } from 'node:http';

const agent = new Agent({ keepAlive: true });
const STAMP = /@(\d+)(?!\d*$)/g;

export interface StreamReading {
  /** Between the first and the last token as they arrived. */
  readonly tokensPerSecond: number;
  /** Of each token, from the engine's write to its arrival here, milliseconds. */
  readonly delaysMs: readonly number[];
}

/**
 * Reads so many streams at once.
 * @throws Error when a stream does not have exactly `tokens` tokens
 */
export function readStreams(url: string, how: string, tokens: number, count: number): Promise<StreamReading[]> {
  return Promise.all(Array.from({ length: count }, () => readStream(url, how, tokens)));
}

async function readStream(url: string, how: string, tokens: number): Promise<StreamReading> {
  const delaysMs: number[] = [];
  let firstAt = 0;
  let lastAt = 0;
  let rest = '';
  const take = (piece: string) => {
    const now = Number(process.hrtime.bigint() / 1_000n);
    // A stamp at the very end may not be whole.
    const text = rest + piece;
    let end = 0;
    for (const match of text.matchAll(STAMP)) {
      delaysMs.push((now - Number(match[1])) / 1_000);
      end = match.index + match[0].length;
    }
    rest = text.slice(Math.max(end, text.length - 40));
    if (firstAt === 0 && delaysMs.length > 0) firstAt = now;
    if (end > 0) lastAt = now;
  };
  await read(url, how, take);
  if (delaysMs.length !== tokens) throw new Error(`${url}: ${delaysMs.length} tokens of ${tokens} arrived`);
  return { tokensPerSecond: ((tokens - 1) * 1e6) / (lastAt - firstAt), delaysMs };
}

/** Sends a streaming chat; resolves at the end of its answer. @throws Error when it is not 200 */
export function read(url: string, how: string, take: (piece: string) => void): Promise<void> {
  const body = JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: how }], stream: true });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const sent = request(`${url}/api/chat`, { agent, method: 'POST', headers }, (answer) => {
    answer.setEncoding('latin1').on('data', take).on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode === 200) resolve();
      else reject(new Error(`${url} answered ${answer.statusCode}`));
    });
  });
  sent.on('error', reject);
  sent.end(body);
  return promise;
}
