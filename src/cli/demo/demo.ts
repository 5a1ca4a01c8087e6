/** `gogrid demo`: a mesh of several nodes on this machine, of which one dies in mid-sentence. */

import { GoGridError } from '../../errors.ts';
import { DEMO } from '../../limits/program.ts';
import type { Call } from '../command.ts';
import type { World } from '../world.ts';
import { gatherMesh } from './gather.ts';
import { JsonLines } from './json-lines.ts';
import type { Member } from './member.ts';
import { readOptions } from './options.ts';
import { askAndKill, compare } from './scene.ts';
import { Screen } from './screen.ts';
import type { Stage } from './stage.ts';

export async function run(call: Call): Promise<number> {
  const { world } = call;
  const options = readOptions(call);
  const startedAt = world.now();
  const teller = call.json ? new JsonLines(world.stdout) : new Screen(world, call.paint);
  const aborter = new AbortController();
  const failed = Promise.withResolvers<never>();
  const stopListening = world.onSignal(() => {
    // Whoever asks twice wants it now; what is left is cleared away behind us.
    if (aborter.signal.aborted) world.exit(1);
    aborter.abort();
    failed.reject(new GoGridError({ code: 'cancelled', message: 'stopped; nothing of the demo is left' }));
  });
  try {
    const sandbox = await world.openSandbox();
    const { signal } = aborter;
    const { reject: fail } = failed;
    const stage: Stage = { world, sandbox, teller, options, homeFolder: call.home.folder, signal, fail };
    let processes = 0;
    try {
      const members = await firstOf(play(stage), failed.promise);
      processes = members.length;
      await endInOrder(world, members);
    } catch (thrown) {
      teller.breakOff();
      throw thrown;
    } finally {
      await sandbox.close();
    }
    teller.tell({ event: 'ended', processes, tookMs: world.now() - startedAt });
    return 0;
  } finally {
    stopListening();
  }
}

/** The story, from the first node to the last word. */
async function play(stage: Stage): Promise<readonly Member[]> {
  const mesh = await gatherMesh(stage);
  const answer = await askAndKill(stage, mesh);
  await compare(stage, mesh, answer);
  return mesh.members;
}

function firstOf<T>(work: Promise<T>, failed: Promise<never>): Promise<T> {
  // Whichever loses may fail later, and nobody waits for it.
  work.catch(() => undefined);
  failed.catch(() => undefined);
  return Promise.race([work, failed]);
}

/** As an operating system ends them; one that takes too long is killed with the sandbox. */
async function endInOrder(world: World, members: readonly Member[]): Promise<void> {
  for (const { process } of members) process.stop();
  const all = Promise.all(members.map(({ process }) => process.ended));
  await Promise.race([all, world.wait(DEMO.stopWithinMs)]);
}
