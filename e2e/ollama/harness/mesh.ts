/** Nodes in front of real daemons. */

import type { Environment } from '../../harness/environment.ts';
import type { Mesh } from '../../harness/mesh.ts';
import type { Stage } from '../../harness/stage.ts';
import { until } from '../../harness/until.ts';
import { OllamaDaemon } from './daemon.ts';
import type { OllamaModel } from './models.ts';

export interface RealMeshOptions {
  /** One for each node: the models of its daemon, or none for a node without an engine. */
  readonly members: readonly (readonly OllamaModel[] | undefined)[];
  /** Settings of every node. */
  readonly env?: Environment;
}

export interface RealMesh {
  readonly mesh: Mesh;
  /** The daemon of the node with this index. */
  daemon(index: number): OllamaDaemon;
}

/** Starts daemons and nodes, and waits until every node knows every model; the end of the stage ends them. */
export async function realMesh(stage: Stage, { members, env }: RealMeshOptions): Promise<RealMesh> {
  const daemons = await Promise.all(
    members.map(async (models, index) => {
      if (models === undefined) return undefined;
      const daemon = await OllamaDaemon.start({ folder: stage.folder, name: `ollama-${index + 1}`, models });
      stage.atEnd(() => daemon.stop());
      return daemon;
    }),
  );
  const mesh = await stage.mesh(
    daemons.map((daemon) => ({
      env: daemon === undefined ? {} : { GOGRID_ENGINE_KIND: 'ollama', GOGRID_ENGINE_OLLAMA_URL: daemon.url },
    })),
    env === undefined ? {} : { env },
  );
  // How many machines have a model, by its name.
  const providers = new Map<string, number>();
  for (const { name } of members.flatMap((models) => models ?? [])) {
    providers.set(`${name}:latest`, (providers.get(`${name}:latest`) ?? 0) + 1);
  }
  for (const { node } of mesh.members) {
    const known = async () => {
      const listed = await node.models();
      return [...providers].every(
        ([name, count]) => listed.find((each) => each.name === name)?.providers.length === count,
      );
    };
    await until(known, { what: `${node.name} to know all models` });
  }
  return {
    mesh,
    daemon(index) {
      const daemon = daemons[index];
      if (daemon === undefined) throw new Error(`node-${index + 1} has no Ollama`);
      return daemon;
    },
  };
}
