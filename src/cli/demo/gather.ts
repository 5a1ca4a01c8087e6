/** Act one: the nodes start, find each other, and those that run the model load it. */

import { GoGridError } from '../../errors.ts';
import { DEMO } from '../../limits/program.ts';
import { castOf, type ModelSize, type Part, providersFor } from './cast.ts';
import { engineSettings } from './engine.ts';
import { findModel, lookFor } from './find-model.ts';
import { type Member, notAlive, seesOthers, startMember } from './member.ts';
import type { Stage } from './stage.ts';

export interface DemoMesh {
  /** The first is the one that asks. */
  readonly members: readonly Member[];
  readonly asks: Member;
  readonly model: string;
  /** The member with this PeerId. @throws GoGridError when there is none */
  member(peerId: string | undefined): Member;
}

export async function gatherMesh(stage: Stage): Promise<DemoMesh> {
  const { world, sandbox, options, teller, signal } = stage;
  const cast = castOf(options.nodes, DEMO.providers);
  teller.tell({ event: 'begin', nodes: cast.map(({ name }) => name), folder: sandbox.folder });

  const [first, second] = cast as [Part, Part];
  const asks = await start(stage, first, []);
  const source = await start(stage, second, asks.ready.addresses);
  const model = await findModel(stage, source);
  const providers = providersFor(options.nodes, model, world.freeMemory());
  const rest = castOf(options.nodes, providers).slice(2);
  const others = await Promise.all([
    load(stage, source, model),
    ...rest.map(async (part) => {
      const member = await start(stage, part, asks.ready.addresses);
      return part.role === 'runs' ? load(stage, member, model) : member;
    }),
  ]);
  await seesOthers(world, asks, others, model.name, signal);
  teller.tell({ event: 'mesh', node: asks.part.name, peers: others.length });
  return meshOf([asks, ...others], model.name);
}

function meshOf(members: readonly Member[], model: string): DemoMesh {
  return {
    members,
    asks: members[0] as Member,
    model,
    member(peerId) {
      const found = members.find(({ ready }) => ready.peerId === peerId);
      if (found !== undefined) return found;
      throw new GoGridError({
        code: 'internal',
        message: `the answer names a node that is not of the demo: ${peerId}`,
      });
    },
  };
}

async function start(stage: Stage, part: Part, bootstrap: readonly string[]): Promise<Member> {
  const { world, sandbox, teller } = stage;
  teller.tell({ event: 'starting', node: part.name });
  const member = await startMember(world, sandbox, { part, bootstrap, engine: engineSettings(stage) });
  void watch(stage, member);
  const { pid, peerId, api } = member.ready;
  const { name: node, role } = part;
  teller.tell({ event: 'node', node, role, pid, peerId, api, startedMs: member.startedMs });
  return member;
}

/** A node that goes by itself ends the story. */
async function watch(stage: Stage, { part, process }: Member): Promise<void> {
  await process.ended;
  if (!process.dismissed) stage.fail(await notAlive(`the node '${part.name}' is gone`, process));
}

/** Brings the model into the memory of one node, so that the answer need not wait for it. */
async function load(stage: Stage, member: Member, size: ModelSize): Promise<Member> {
  const { world, teller, signal } = stage;
  const { name: model, shared } = size;
  const node = member.part.name;
  teller.tell({ event: 'loading', node, model });
  if ((await lookFor(stage, member, model)) === undefined) {
    throw new GoGridError({ code: 'model_not_found', message: `the node '${node}' does not find the model ${model}` });
  }
  const startedAt = world.now();
  await member.client.ask({
    method: 'POST',
    path: '/api/generate',
    body: { model, prompt: '', stream: false },
    signal: AbortSignal.any([signal, AbortSignal.timeout(DEMO.loadWithinMs)]),
  });
  teller.tell({ event: 'loaded', node, model, shared, loadedMs: world.now() - startedAt });
  return member;
}
