/** One client with one warm connection, and what it measures. */

import { Agent, request } from 'node:http';

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

export interface Timing {
  /** Milliseconds from sending the request to the first byte of the answer's body. */
  readonly firstMs: number;
  readonly totalMs: number;
}

/** In whose words a gateway is asked. */
export type Dialect = 'ollama' | 'openai';
const DIALECTS = {
  ollama: { path: '/api/chat', end: '"done":true' },
  openai: { path: '/v1/chat/completions', end: '[DONE]' },
} as const;

/**
 * Sends a streaming chat and reads it to its end.
 * @param how the engine's orders, such as `chunks=64 gap=5`
 * @throws Error when the answer is not 200, or does not end as an answer does
 */
export function ask(url: string, how: string, dialect: Dialect = 'ollama'): Promise<Timing> {
  const { path, end } = DIALECTS[dialect];
  const body = JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: how }], stream: true });
  const { promise, resolve, reject } = Promise.withResolvers<Timing>();
  const startedAt = performance.now();
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const sent = request(`${url}${path}`, { agent, method: 'POST', headers }, (answer) => {
    let firstMs: number | undefined;
    let tail = '';
    answer.on('data', (chunk: Buffer) => {
      firstMs ??= performance.now() - startedAt;
      tail = (tail + chunk.toString('latin1')).slice(-4_000);
    });
    answer.on('end', () => {
      const whole = answer.statusCode === 200 && tail.includes(end);
      if (!whole || firstMs === undefined) reject(new Error(`${url} answered ${answer.statusCode}: ${tail}`));
      else resolve({ firstMs, totalMs: performance.now() - startedAt });
    });
  });
  sent.on('error', reject);
  sent.end(body);
  return promise;
}

/** The value below which that share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export interface Target {
  readonly name: string;
  readonly url: string;
  /** Process whose CPU time counts; undefined where it does not. */
  readonly pid: number | undefined;
  readonly dialect?: Dialect;
  /** Asked in one of so many rounds: a slow one would take all the time. Default 1, in every round. */
  readonly every?: number;
}

export interface Comparison {
  readonly target: string;
  readonly requests: number;
  readonly firstP50Ms: number;
  readonly firstP99Ms: number;
  readonly totalP50Ms: number;
  readonly cpuMsPerRequest: number | null;
}

interface Samples {
  readonly timings: Timing[];
  cpuMs: number;
}

/**
 * Asks all targets in turn, round after round, so that whatever else the machine does falls on all alike.
 * @param cpuOf reads the CPU time of a process, milliseconds
 */
export async function compare(
  targets: readonly Target[],
  how: string,
  rounds: { count: number; warmUp: number },
  cpuOf: (pid: number) => number,
): Promise<Comparison[]> {
  const all = new Map<Target, Samples>(targets.map((target) => [target, { timings: [], cpuMs: 0 }]));
  for (let round = 0; round < rounds.warmUp + rounds.count; round++) {
    for (const [target, samples] of all) {
      const { url, pid, dialect, every = 1 } = target;
      if (round % every !== 0) continue;
      const before = pid === undefined ? 0 : cpuOf(pid);
      const timing = await ask(url, how, dialect);
      if (round < rounds.warmUp) continue;
      samples.timings.push(timing);
      if (pid !== undefined) samples.cpuMs += cpuOf(pid) - before;
    }
  }
  return [...all].map(([{ name, pid }, { timings, cpuMs }]) => {
    const first = timings.map(({ firstMs }) => firstMs);
    const total = timings.map(({ totalMs }) => totalMs);
    return {
      target: name,
      requests: timings.length,
      firstP50Ms: quantile(first, 0.5),
      firstP99Ms: quantile(first, 0.99),
      totalP50Ms: quantile(total, 0.5),
      cpuMsPerRequest: pid === undefined ? null : cpuMs / timings.length,
    };
  });
}
