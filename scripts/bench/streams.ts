/** P3: whether streams keep their pace over one hop, and what the hop adds to each token's way. */

import { quantile } from './client.ts';
import { joining, listsModel, ollamaAt, startNode } from './nodes.ts';
import { startEngine } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';
import { readStreams, type StreamReading } from './stream-client.ts';

const TOKENS_PER_SECOND = 200;
const SHAPES = [
  { streams: 1, tokens: 300, rounds: 12 },
  { streams: 64, tokens: 300, rounds: 8 },
] as const;

export const streams: Benchmark = {
  name: 'streams',
  title: `P3: streams over one hop, ${TOKENS_PER_SECOND} tokens/s each`,
  async run({ scale, program }) {
    const engine = await startEngine();
    const slots = { GOGRID_WORKER_MAX_CONCURRENT_JOBS: '64' };
    const provider = await startNode(program, { ...ollamaAt(engine.url), ...slots });
    const requester = await startNode(program, joining(provider));
    await listsModel(requester);
    const targets = [
      { name: 'direct', url: engine.url },
      { name: 'one hop', url: requester.url },
    ];
    const figures: Figure[] = [];
    const rows: Record<string, unknown>[] = [];
    for (const { streams: count, tokens, rounds } of SHAPES) {
      const shape = `${count} ${count === 1 ? 'stream' : 'streams'}`;
      const readings = new Map<string, StreamReading[]>(targets.map(({ name }) => [name, []]));
      const how = `chunks=${tokens} rate=${TOKENS_PER_SECOND} stamps`;
      for (const { url } of targets) await readStreams(url, how, tokens, count);
      for (let round = 0; round < Math.ceil(rounds * scale); round++) {
        for (const { name, url } of targets) {
          readings.get(name)?.push(...(await readStreams(url, how, tokens, count)));
        }
      }
      const results = [...readings].map(([target, all]) => ({ shape, target, ...summary(all) }));
      rows.push(...results);
      figures.push(...figuresOf(shape, results));
    }
    return { figures, rows };
  },
};

function summary(readings: readonly StreamReading[]) {
  const delays = readings.flatMap(({ delaysMs }) => delaysMs);
  const rates = readings.map(({ tokensPerSecond }) => tokensPerSecond);
  return {
    tokens: delays.length,
    tokensPerSecond: quantile(rates, 0.5),
    slowestTokensPerSecond: Math.min(...rates),
    tokenDelayP50Ms: quantile(delays, 0.5),
    tokenDelayP99Ms: quantile(delays, 0.99),
  };
}

function figuresOf(shape: string, results: readonly ReturnType<typeof summary>[]): Figure[] {
  const [direct, hop] = results;
  if (direct === undefined || hop === undefined) return [];
  const ratio = hop.tokensPerSecond / direct.tokensPerSecond;
  const added = hop.tokenDelayP99Ms - direct.tokenDelayP99Ms;
  return [
    {
      what: `stream rate against direct, ${shape}`,
      value: ratio,
      unit: '×',
      target: 'at least 0.99',
      met: ratio >= 0.99,
    },
    { what: `added time per token, p99, ${shape}`, value: added, unit: 'ms', target: 'at most 2', met: added <= 2 },
  ];
}
