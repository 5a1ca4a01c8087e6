/** P4: one hop at full speed: an engine that computes nothing, and a reader that takes everything. */

import { quantile } from './client.ts';
import { joining, listsModel, ollamaAt, startNode } from './nodes.ts';
import { cpuMs, startEngine, startScript, startServer } from './processes.ts';
import type { Benchmark } from './report.ts';
import { read } from './stream-client.ts';

const TOKENS = 20_000;
const ROUNDS = 40;
const WARM_UP = 4;
const WORD = ' word';

interface Road {
  readonly name: string;
  readonly url: string;
  /** The processes between engine and client. */
  readonly pids: readonly number[];
}

interface Reading {
  readonly tokensPerSecond: number;
  readonly cpuMicros: number;
}

export const saturated: Benchmark = {
  name: 'saturated',
  title: `P4: one hop at full speed, one stream of ${TOKENS} tokens`,
  async run({ scale, program }) {
    const engine = await startEngine();
    const provider = await startNode(program, ollamaAt(engine.url));
    const requester = await startNode(program, joining(provider));
    const far = await startScript('bare-hop.ts', ['far', engine.url]);
    const near = await startServer('bare-hop.ts', ['near', far.said]);
    await listsModel(requester);
    const roads: Road[] = [
      { name: 'direct', url: engine.url, pids: [] },
      { name: 'bare libp2p stream', url: near.url, pids: [near.pid, far.pid] },
      { name: 'one hop', url: requester.url, pids: [requester.pid, provider.pid] },
    ];
    const readings = new Map<Road, Reading[]>(roads.map((road) => [road, []]));
    for (let round = 0; round < WARM_UP + Math.ceil(ROUNDS * scale); round++) {
      for (const road of roads) {
        const reading = await measure(road);
        if (round >= WARM_UP) readings.get(road)?.push(reading);
      }
    }
    const rows = [...readings].map(([{ name, pids }, all]) => ({
      road: name,
      answers: all.length,
      tokensPerSecond: quantile(
        all.map(({ tokensPerSecond }) => tokensPerSecond),
        0.5,
      ),
      cpuMicrosPerToken:
        pids.length === 0
          ? null
          : quantile(
              all.map(({ cpuMicros }) => cpuMicros),
              0.5,
            ) / TOKENS,
    }));
    const [direct, bare, ours] = rows;
    const speed = (ours?.tokensPerSecond ?? Number.NaN) / (direct?.tokensPerSecond ?? Number.NaN);
    const cpu = (ours?.cpuMicrosPerToken ?? Number.NaN) / (bare?.cpuMicrosPerToken ?? Number.NaN);
    return {
      rows,
      figures: [
        { what: 'tokens/s against direct', value: speed, unit: '×', target: 'at least 0.5', met: speed >= 0.5 },
        {
          what: 'CPU per token against a bare libp2p stream that merges',
          value: cpu,
          unit: '×',
          target: 'at most 1.5',
          met: cpu <= 1.5,
        },
      ],
      notes: ['CPU is that of the two processes between engine and client, together.'],
    };
  },
};

async function measure({ name, url, pids }: Road): Promise<Reading> {
  const used = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const pieces: string[] = [];
  const before = used();
  const startedAt = performance.now();
  await read(url, `chunks=${TOKENS} turns`, (piece) => pieces.push(piece));
  const tookMs = performance.now() - startedAt;
  const cpuMicros = (used() - before) * 1_000;
  const tokens = pieces.join('').split(WORD).length - 1;
  if (tokens !== TOKENS) throw new Error(`${name}: ${tokens} tokens of ${TOKENS} arrived`);
  return { tokensPerSecond: (TOKENS * 1_000) / tookMs, cpuMicros };
}
