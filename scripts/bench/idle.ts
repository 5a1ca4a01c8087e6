/** P10: what a node weighs and does while nothing happens, beside a libp2p host that is nothing else. */

import path from 'node:path';
import { build } from 'esbuild';
import { quantile } from './client.ts';
import { environment, ollamaAt, startNode } from './nodes.ts';
import { cpuMs, memoryMiB, NODE, newFolder, ROOT, SPEAKING, sleep, speaking, start, startEngine } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';

/** Of each kind, started in turn and measured at the same time. */
const PROCESSES = 4;
/** What a start leaves behind is collected. */
const SETTLE_MS = 15_000;
const WINDOW_MS = 60_000;

interface Kind {
  readonly name: string;
  start(): Promise<{ readonly pid: number }>;
}

interface Weight {
  readonly kind: string;
  readonly processes: number;
  readonly rssMiB: number;
  readonly pssMiB: number;
  readonly cpuPercent: number;
}

export const idle: Benchmark = {
  name: 'idle',
  title: 'P10: memory and CPU of an idle node',
  async run({ scale, program }) {
    const engine = await startEngine();
    const bare = await bundleBareHost();
    const kinds: Kind[] = [
      { name: 'bare libp2p host', start: () => startBare(bare, 'plain') },
      { name: 'libp2p host with gossipsub and DHT', start: () => startBare(bare, 'services') },
      { name: 'gogrid without an engine', start: () => startNode(program, {}) },
      { name: 'gogrid before Ollama', start: () => startNode(program, ollamaAt(engine.url)) },
    ];
    const pids = new Map<Kind, number[]>(kinds.map((kind) => [kind, []]));
    for (let count = 0; count < PROCESSES; count++) {
      for (const kind of kinds) pids.get(kind)?.push((await kind.start()).pid);
    }
    await sleep(SETTLE_MS * Math.min(1, scale * 2));
    const weights = await weigh(pids, Math.max(5_000, WINDOW_MS * scale));
    return {
      rows: weights.map((weight) => ({ ...weight })),
      figures: figuresOf(weights),
      notes: [
        'No process has a peer. All are bundled alike and start with a filled compile cache. The target for memory is against the host that speaks the same protocols; the bare one shows what those cost.',
      ],
    };
  },
};

async function weigh(pids: ReadonlyMap<Kind, readonly number[]>, windowMs: number): Promise<Weight[]> {
  const all = [...pids.values()].flat();
  const before = new Map(all.map((pid) => [pid, cpuMs(pid)]));
  const startedAt = performance.now();
  await sleep(windowMs);
  const tookMs = performance.now() - startedAt;
  const after = new Map(all.map((pid) => [pid, cpuMs(pid)]));
  const percent = (pid: number) => (((after.get(pid) ?? Number.NaN) - (before.get(pid) ?? Number.NaN)) * 100) / tookMs;
  return [...pids].map(([{ name }, own]) => {
    const memory = own.map(memoryMiB);
    return {
      kind: name,
      processes: own.length,
      rssMiB: quantile(
        memory.map(({ rss }) => rss),
        0.5,
      ),
      pssMiB: quantile(
        memory.map(({ pss }) => pss),
        0.5,
      ),
      cpuPercent: quantile(own.map(percent), 0.5),
    };
  });
}

function figuresOf([bare, services, alone, withEngine]: readonly Weight[]): Figure[] {
  if (bare === undefined || services === undefined || alone === undefined || withEngine === undefined) return [];
  const memory = withEngine.rssMiB / services.rssMiB;
  const cpu = withEngine.cpuPercent;
  return [
    {
      what: 'RSS before Ollama against a libp2p host with the same protocols',
      value: memory,
      unit: '×',
      target: 'at most 1.25',
      met: memory <= 1.25,
    },
    { what: 'RSS before Ollama against a bare libp2p host', value: withEngine.rssMiB / bare.rssMiB, unit: '×' },
    { what: 'idle CPU before Ollama', value: cpu, unit: '% of a core', target: 'at most 0.5', met: cpu <= 0.5 },
    { what: 'idle CPU without an engine', value: alone.cpuPercent, unit: '% of a core' },
  ];
}

/** In the form in which the program itself is built (scripts/build.ts). */
async function bundleBareHost(): Promise<string> {
  const folder = newFolder('bare-host');
  await build({
    absWorkingDir: ROOT,
    entryPoints: { 'bare-host': 'scripts/bench/bare-host.ts' },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    splitting: true,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.12',
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'warning',
  });
  return path.join(folder, 'bare-host.mjs');
}

function startBare(program: string, kind: 'plain' | 'services') {
  const env = { ...environment(), NODE_COMPILE_CACHE: path.join(path.dirname(program), 'cache') };
  return speaking(start(NODE, [program, kind], { ...SPEAKING, env }));
}
