/** Which engine the nodes of the demo run. */

import path from 'node:path';
import type { Stage } from './stage.ts';

/**
 * The settings of a node's engine. Without `--model` it is the embedded one with the starter model. With it, the model may
 * be one of the user's own: of Ollama, or a file in the folder where their node keeps its models.
 */
export function engineSettings(stage: Pick<Stage, 'world' | 'options' | 'homeFolder'>): Record<string, string> {
  const { env } = stage.world;
  const own = stage.options.model !== undefined;
  return {
    GOGRID_ENGINE_KIND: kindOf(stage, own),
    GOGRID_ENGINE_OLLAMA_URL: env.GOGRID_ENGINE_OLLAMA_URL ?? '',
    GOGRID_ENGINE_MODELS_DIR: own ? path.resolve(stage.homeFolder, env.GOGRID_ENGINE_MODELS_DIR || 'models') : '',
    // What is asked on this node itself, such as to load the model, must not be done by another.
    GOGRID_PRIVACY_DEFAULT: 'local',
  };
}

/** The user's own nodes are set to Ollama and nothing else. */
export function runsOllamaAlone({ world }: Pick<Stage, 'world'>): boolean {
  return world.env.GOGRID_ENGINE_KIND === 'ollama';
}

function kindOf(stage: Pick<Stage, 'world'>, own: boolean): string {
  if (runsOllamaAlone(stage)) return 'ollama';
  if (!own || stage.world.env.GOGRID_ENGINE_KIND === 'embedded') return 'embedded';
  return 'auto';
}
