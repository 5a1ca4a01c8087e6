/** P2: what one hop over the mesh adds to the time to the first token, between nodes that know each other. */

import { type Comparison, compare, type Target } from './client.ts';
import { joining, listsModel, ollamaAt, type Settings, startNode } from './nodes.ts';
import { cpuMs, startEngine } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';

const TRANSPORTS = ['tcp', 'quic'] as const;

export const hop: Benchmark = {
  name: 'hop',
  title: 'P2: one hop to a peer, streamed chat, one client, warm peers',
  async run({ scale, program }) {
    const engine = await startEngine();
    const targets: Target[] = [{ name: 'engine', url: engine.url, pid: undefined }];
    const notes: string[] = [];
    for (const transport of TRANSPORTS) {
      try {
        targets.push(...(await startPair(program, engine.url, transport)));
      } catch (error) {
        notes.push(`One hop over ${transport} is left out: ${(error as Error).message.split('\n')[0]}`);
      }
    }
    const rounds = { count: Math.ceil(2_000 * scale), warmUp: Math.ceil(200 * scale) };
    const results = await compare(targets, 'chunks=1', rounds, cpuMs);
    const figures = TRANSPORTS.flatMap((transport) => figuresOf(transport, results));
    return { figures, rows: results.map((result) => ({ shape: '1 chunk', ...result })), notes };
  },
};

/** A provider before the engine, and a requester that reaches it over one transport alone. */
async function startPair(program: string, engine: string, transport: string): Promise<Target[]> {
  const speaking: Settings = { GOGRID_NETWORK_TRANSPORTS: transport };
  const provider = await startNode(program, { ...ollamaAt(engine), ...speaking });
  const requester = await startNode(program, { ...joining(provider), ...speaking });
  await listsModel(requester);
  return [
    { name: `provider itself (${transport})`, url: provider.url, pid: provider.pid },
    { name: `one hop (${transport})`, url: requester.url, pid: requester.pid },
  ];
}

function figuresOf(transport: string, results: readonly Comparison[]): Figure[] {
  const engine = results.find(({ target }) => target === 'engine');
  const ours = results.find(({ target }) => target === `one hop (${transport})`);
  if (engine === undefined || ours === undefined) return [];
  const p50 = ours.firstP50Ms - engine.firstP50Ms;
  const p99 = ours.firstP99Ms - engine.firstP99Ms;
  const what = `added time to first token, ${transport}`;
  return [
    { what: `${what}, p50`, value: p50, unit: 'ms', target: 'at most 3', met: p50 <= 3 },
    { what: `${what}, p99`, value: p99, unit: 'ms', target: 'at most 10', met: p99 <= 10 },
  ];
}
