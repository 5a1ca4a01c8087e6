/** P1: what the gateway adds to a local engine's streamed chat, beside the least that any gateway adds. */

import { type Comparison, compare, type Target } from './client.ts';
import { cpuMs, startEngine, startNginx, startNode, startProxy, until } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';

const SHAPES = [
  { name: '1 chunk', how: 'chunks=1', count: 2_000 },
  { name: '64 chunks, unpaced', how: 'chunks=64', count: 1_000 },
  { name: '64 chunks, 5 ms apart', how: 'chunks=64 gap=5', count: 60 },
] as const;

export const gateway: Benchmark = {
  name: 'gateway',
  title: 'P1: the gateway before a local engine, streamed chat, one client',
  async run(scale) {
    const engine = await startEngine();
    const proxy = await startProxy(engine.url);
    const nginx = await startNginx(engine.url);
    const node = await startNode({ GOGRID_ENGINE_KIND: 'ollama', GOGRID_ENGINE_OLLAMA_URL: engine.url });
    try {
      await until('the model of the engine is listed', async () =>
        (await (await fetch(`${node.url}/api/tags`)).text()).includes('bench'),
      );
      const targets: Target[] = [
        { name: 'engine', url: engine.url, pid: undefined },
        { name: 'bare proxy', url: proxy.url, pid: proxy.pid },
        ...(nginx === undefined ? [] : [{ name: 'nginx', url: nginx.url, pid: nginx.pid }]),
        { name: 'gogrid', url: node.url, pid: node.pid },
      ];
      const figures: Figure[] = [];
      const rows: Record<string, unknown>[] = [];
      for (const { name, how, count } of SHAPES) {
        const rounds = { count: Math.ceil(count * scale), warmUp: Math.ceil(Math.min(200, count / 4) * scale) };
        const results = await compare(targets, how, rounds, cpuMs);
        rows.push(...results.map((result) => ({ shape: name, ...result })));
        figures.push(...figuresOf(name, results));
      }
      return { figures, rows };
    } finally {
      await Promise.all([node.stop(), proxy.stop(), nginx?.stop(), engine.stop()]);
    }
  },
};

function figuresOf(shape: string, results: readonly Comparison[]): Figure[] {
  const of = (name: string) => results.find(({ target }) => target === name);
  const [engine, proxy, ours] = [of('engine'), of('bare proxy'), of('gogrid')];
  if (engine === undefined || proxy === undefined || ours === undefined) return [];
  return [
    {
      what: `added time to first byte, p50, ${shape}`,
      value: ours.firstP50Ms - engine.firstP50Ms,
      unit: 'ms',
      target: 'at most 0.8',
      met: ours.firstP50Ms - engine.firstP50Ms <= 0.8,
    },
    {
      what: `CPU per request against the bare proxy, ${shape}`,
      value: (ours.cpuMsPerRequest ?? Number.NaN) / (proxy.cpuMsPerRequest ?? Number.NaN),
      unit: '×',
      target: 'at most 1.3',
      met: (ours.cpuMsPerRequest ?? Number.NaN) <= 1.3 * (proxy.cpuMsPerRequest ?? Number.NaN),
    },
  ];
}
