/** P2: what one hop over the mesh adds to the time to the first token, between nodes that know each other. */

import { compare } from './client.ts';
import { cpuMs, startEngine, startNode, until } from './processes.ts';
import type { Benchmark } from './report.ts';

export const hop: Benchmark = {
  name: 'hop',
  title: 'P2: one hop to a peer, streamed chat, one client, warm peers',
  async run(scale) {
    const engine = await startEngine();
    const provider = await startNode({ GOGRID_ENGINE_KIND: 'ollama', GOGRID_ENGINE_OLLAMA_URL: engine.url });
    const requester = await startNode({
      GOGRID_ENGINE_KIND: 'none',
      GOGRID_NETWORK_BOOTSTRAP: provider.addresses.join(','),
    });
    try {
      await until('the model of the peer is listed', async () =>
        (await (await fetch(`${requester.url}/api/tags`)).text()).includes('bench'),
      );
      const targets = [
        { name: 'engine', url: engine.url, pid: undefined },
        { name: 'provider itself', url: provider.url, pid: provider.pid },
        { name: 'one hop', url: requester.url, pid: requester.pid },
      ];
      const rounds = { count: Math.ceil(2_000 * scale), warmUp: Math.ceil(200 * scale) };
      const results = await compare(targets, 'chunks=1', rounds, cpuMs);
      const of = (name: string) => results.find(({ target }) => target === name);
      const added = (key: 'firstP50Ms' | 'firstP99Ms') =>
        (of('one hop')?.[key] ?? Number.NaN) - (of('engine')?.[key] ?? Number.NaN);
      return {
        figures: [
          {
            what: 'added time to first token, p50',
            value: added('firstP50Ms'),
            unit: 'ms',
            target: 'at most 3',
            met: added('firstP50Ms') <= 3,
          },
          {
            what: 'added time to first token, p99',
            value: added('firstP99Ms'),
            unit: 'ms',
            target: 'at most 10',
            met: added('firstP99Ms') <= 10,
          },
        ],
        rows: results.map((result) => ({ shape: '1 chunk', ...result })),
      };
    } finally {
      await Promise.all([requester.stop(), provider.stop(), engine.stop()]);
    }
  },
};
