/** Finds the model that the story is told with. */

import type { Model, ModelList, RuntimeHealth } from '../../contract/control.ts';
import { GoGridError } from '../../errors.ts';
import { DEMO } from '../../limits/program.ts';
import type { ModelSize } from './cast.ts';
import { runsOllamaAlone } from './engine.ts';
import type { Member } from './member.ts';
import { pullModel } from './pull-model.ts';
import type { Stage } from './stage.ts';

/** Of the program's own catalogue: small enough to be fetched while a person waits. */
const STARTER = 'smollm2:135m';

/**
 * The model, on the node that has it first; the starter model is fetched where it is missing.
 * @throws GoGridError `model_not_found` with what there is, or why it could not be fetched
 */
export async function findModel(stage: Stage, source: Member): Promise<ModelSize> {
  const { options } = stage;
  const anyOne = options.model === undefined && runsOllamaAlone(stage);
  const wanted = anyOne ? undefined : canonical(options.model ?? STARTER);
  const found = (await lookFor(stage, source, wanted)) ?? (await fetched(stage, source));
  if (found === undefined) throw await noModel(stage, source);
  return found;
}

async function fetched(stage: Stage, source: Member): Promise<ModelSize | undefined> {
  if (stage.options.model !== undefined || runsOllamaAlone(stage)) return undefined;
  await pullModel(stage, source, STARTER);
  return lookFor(stage, source, STARTER);
}

/**
 * Waits until the engine of this node has the model, for as long as it still looks what it has.
 * @param wanted canonical; undefined for any
 * @returns undefined when it has looked, and does not have it
 */
export async function lookFor(
  { world, signal }: Stage,
  { client }: Member,
  wanted: string | undefined,
): Promise<ModelSize | undefined> {
  const until = world.now() + DEMO.modelsWithinMs;
  for (;;) {
    // Asked in this order: an engine that has finished looking now has told all its models then.
    const { engine } = await client.ask<RuntimeHealth>({ path: '/health/runtime', signal });
    const own = speaking(await client.ask<ModelList>({ path: '/model/list', signal }));
    const found = own.find(({ name }) => wanted === undefined || name === wanted);
    if (found !== undefined) return { name: found.name, bytes: found.sizeBytes, shared: engine.kind === 'ollama' };
    if (engine.state !== 'starting' || world.now() > until) return undefined;
    await world.wait(DEMO.lookEveryMs);
  }
}

function speaking({ models }: ModelList): Model[] {
  return models.filter(({ local, capabilities }) => local && capabilities.includes('completion'));
}

/** As the mesh names models: lower case, and with a tag. */
function canonical(name: string): string {
  const lower = name.toLowerCase();
  return lower.lastIndexOf(':') > lower.lastIndexOf('/') ? lower : `${lower}:latest`;
}

async function noModel({ options, signal }: Stage, { client }: Member): Promise<GoGridError> {
  const { engine } = await client.ask<RuntimeHealth>({ path: '/health/runtime', signal });
  const names = speaking(await client.ask<ModelList>({ path: '/model/list', signal })).map(({ name }) => name);
  if (engine.state === 'unreachable') {
    return new GoGridError({
      code: 'engine_unavailable',
      message: 'nothing on this machine can run a model now',
      ...(engine.hint === undefined ? {} : { hint: engine.hint }),
    });
  }
  return new GoGridError({
    code: 'model_not_found',
    message: `this machine has no model '${options.model ?? STARTER}'`,
    hint:
      names.length > 0
        ? `it has ${names.join(', ')}; without --model the demo takes ${STARTER}`
        : `without --model the demo takes ${STARTER}, and downloads it where it is missing`,
  });
}
