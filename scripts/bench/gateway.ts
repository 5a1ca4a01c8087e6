/** P1: what the gateway adds to a local engine's streamed chat, beside the least that any gateway adds. */

import { type Comparison, compare, type Target } from './client.ts';
import { listsModel, ollamaAt, startNode } from './nodes.ts';
import { cpuMs, startEngine, startProxy } from './processes.ts';
import type { Benchmark, Figure, RunOptions } from './report.ts';
import { startLiteLlm, startNginx } from './rivals.ts';

const SHAPES = [
  { name: '1 chunk', how: 'chunks=1', count: 2_000 },
  { name: '64 chunks, unpaced', how: 'chunks=64', count: 1_000 },
  { name: '64 chunks, 5 ms apart', how: 'chunks=64 gap=5', count: 30 },
] as const;
/** LiteLLM needs some fifty times as long: it is asked in one of so many rounds, and never fewer than this often. */
const LITELLM_EVERY = 20;
const LITELLM_REQUESTS = 6;

export const gateway: Benchmark = {
  name: 'gateway',
  title: 'P1: the gateway before a local engine, streamed chat, one client',
  async run(options) {
    const targets = await startTargets(options);
    const figures: Figure[] = [];
    const rows: Record<string, unknown>[] = [];
    for (const { name, how, count } of SHAPES) {
      const rounds = Math.ceil(count * options.scale);
      const every = Math.max(1, Math.min(LITELLM_EVERY, Math.floor(rounds / LITELLM_REQUESTS)));
      const warmUp = Math.ceil(Math.min(200, rounds / 4));
      const paced = targets.map((target) => (target.name === 'LiteLLM' ? { ...target, every } : target));
      const results = await compare(paced, how, { count: rounds, warmUp }, cpuMs);
      rows.push(...results.map((result) => ({ shape: name, ...result })));
      figures.push(...figuresOf(name, results));
    }
    const notes = targets.some(({ name }) => name === 'LiteLLM')
      ? ["LiteLLM speaks OpenAI's words alone; `gogrid /v1` is GoGrid asked in the same words."]
      : [];
    return { figures, rows, notes };
  },
};

async function startTargets({ program, beside }: RunOptions): Promise<Target[]> {
  const engine = await startEngine();
  const liteLlm = await startLiteLlm(engine.url);
  const nginx = await startNginx(engine.url);
  const proxy = await startProxy(engine.url);
  const node = await startNode(program, ollamaAt(engine.url));
  const other = beside === undefined ? undefined : await startNode(beside, ollamaAt(engine.url));
  await Promise.all([node, other].map((started) => started && listsModel(started)));
  return [
    { name: 'engine', url: engine.url, pid: undefined },
    { name: 'bare proxy', url: proxy.url, pid: proxy.pid },
    ...(nginx === undefined ? [] : [{ name: 'nginx', url: nginx.url, pid: nginx.pid }]),
    { name: 'gogrid', url: node.url, pid: node.pid },
    ...(other === undefined ? [] : [{ name: 'gogrid beside', url: other.url, pid: other.pid }]),
    ...(liteLlm === undefined
      ? []
      : [
          { name: 'gogrid /v1', url: node.url, pid: node.pid, dialect: 'openai' as const },
          { name: 'LiteLLM', url: liteLlm.url, pid: liteLlm.pid, dialect: 'openai' as const },
        ]),
  ];
}

function figuresOf(shape: string, results: readonly Comparison[]): Figure[] {
  const of = (name: string) => results.find(({ target }) => target === name);
  const cpu = (name: string) => of(name)?.cpuMsPerRequest ?? Number.NaN;
  const added = (of('gogrid')?.firstP50Ms ?? Number.NaN) - (of('engine')?.firstP50Ms ?? Number.NaN);
  const againstProxy = cpu('gogrid') / cpu('bare proxy');
  const againstLiteLlm = cpu('LiteLLM') / cpu('gogrid /v1');
  return [
    {
      what: `added time to first byte, p50, ${shape}`,
      value: added,
      unit: 'ms',
      target: 'at most 0.8',
      met: added <= 0.8,
    },
    {
      what: `CPU per request against the bare proxy, ${shape}`,
      value: againstProxy,
      unit: '×',
      target: 'at most 1.3',
      met: againstProxy <= 1.3,
    },
    ...(of('LiteLLM') === undefined
      ? []
      : [
          {
            what: `CPU per request of LiteLLM against gogrid /v1, ${shape}`,
            value: againstLiteLlm,
            unit: '×',
            target: 'at least 20',
            met: againstLiteLlm >= 20,
          },
        ]),
  ];
}
