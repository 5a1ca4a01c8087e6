/** Which model of the mesh somebody means. */

import { nearest } from '../config/nearest.ts';
import type { Model, ModelList, PeerList } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import type { NodeClient } from './node-client.ts';
import { printable, shortId } from './text.ts';

/** Models that can hold a conversation, those of this machine first. */
export async function chatModels(node: NodeClient): Promise<readonly Model[]> {
  const { models } = await node.ask<ModelList>({ path: '/model/list' });
  return models.filter((model) => model.capabilities.length === 0 || model.capabilities.includes('completion'));
}

/** The model of `models` that is meant by `name`: without its tag, in any letters, pinned or not. */
export function modelNamed(models: readonly Model[], name: string): Model | undefined {
  const wanted = name.replace(/@sha256:.*$/, '').toLowerCase();
  return models.find((model) => model.name === wanted) ?? models.find((model) => model.name === `${wanted}:latest`);
}

/** The error for a model that nobody has, with the one that was probably meant. */
export async function unknownModel(node: NodeClient, models: readonly Model[], name: string): Promise<GoGridError> {
  const meant = nearestModel(models, name);
  const shown = name.slice(0, 200);
  return new GoGridError({
    code: 'model_not_found',
    message: `model '${shown}' not found${meant === undefined ? '' : `; did you mean '${meant}'?`}`,
    hint:
      models.length === 0
        ? await noModelHint(node)
        : '`gogrid models` lists those there are; `gogrid models pull` gets more',
  });
}

/** Where to get a first model; a machine that waits to be accepted may have one. */
export async function noModelHint(node: NodeClient): Promise<string> {
  const waiting = await waitingSentence(node);
  return waiting === undefined ? NO_MODEL : `${waiting}; or ${NO_MODEL}`;
}

/** `kitchen waits to be accepted: gogrid peers`; undefined where nobody waits, or that cannot be told now. */
export async function waitingSentence(node: NodeClient, flags = ''): Promise<string | undefined> {
  const answer = await node.ask<PeerList>({ path: '/mesh/peers' }).catch(() => undefined);
  const waiting = answer?.peers.filter(({ status }) => status === 'waiting') ?? [];
  const [first] = waiting;
  if (first === undefined) return undefined;
  const who =
    waiting.length === 1
      ? `${printable(first.name) || shortId(first.peerId)} waits`
      : `${waiting.length} machines wait`;
  return `${who} to be accepted: gogrid peers${flags}`;
}

const NO_MODEL =
  'get one: `gogrid models pull smollm2:135m` fetches a small one (about 100 MB), and with Ollama `ollama pull llama3.2` a better one';

/** Names differ in their tag, in a letter, or are the beginning of one. */
function nearestModel(models: readonly Model[], name: string): string | undefined {
  const wanted = name.toLowerCase();
  const bare = models.map((model) => model.name.replace(/:latest$/, ''));
  const withoutTags = new Map(models.map((model) => [model.name.replace(/:[^:/]*$/, ''), model.name] as const));
  const begins = bare.find((each) => each.startsWith(wanted) || withoutTagOf(each) === withoutTagOf(wanted));
  if (begins !== undefined && wanted !== '') return begins;
  const near = nearest(wanted, bare) ?? nearest(withoutTagOf(wanted), [...withoutTags.keys()]);
  return near === undefined ? undefined : (withoutTags.get(near) ?? near).replace(/:latest$/, '');
}

function withoutTagOf(name: string): string {
  return name.replace(/:[^:/]*$/, '');
}

/** Names of the machines that run a model: `this machine`, `kitchen`. */
export async function placesOf(node: NodeClient, model: Model): Promise<string> {
  if (model.local) return 'this machine';
  const peers = await node.ask<PeerList>({ path: '/mesh/peers' }).catch(() => undefined);
  const names = model.providers.map((id) => peers?.peers.find(({ peerId }) => peerId === id)?.name || shortId(id));
  return names.length > 2 ? `${names[0]} and ${names.length - 1} others` : names.join(' and ');
}
