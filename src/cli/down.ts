/** `gogrid down`: stops the node of this home in order, and waits until it is gone. */

import type { NodeStatusAnswer, Stopping } from '../contract/control.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { usage } from './arguments.ts';
import { type Call, printJson } from './command.ts';
import { connect, type NodeClient, notRunning } from './node-client.ts';
import { resolveSettings } from './settings.ts';
import { printable } from './text.ts';
import type { NodeMark } from './world.ts';

/** How the node was told. */
interface Asked {
  readonly by: 'api' | 'signal';
  readonly graceSecs: number;
  /** To ask what it waits for; undefined when the API does not answer. */
  readonly node: NodeClient | undefined;
}

export async function run(call: Call): Promise<number> {
  if (call.words.length > 0) throw usage(`down takes no '${call.words[0]}'`, 'down');
  const mark = await call.home.mark();
  if (mark === undefined) throw notRunning(call.home, '');
  if (!mark.alive) throw notRunning(call.home, `; the last one, process ${mark.pid}, ended without a word`);
  const since = call.world.now();
  const asked = await ask(call, mark);
  await waitForEnd(call, mark, asked);
  const tookMs = call.world.now() - since;
  if (call.json) printJson(call, { stopped: true, pid: mark.pid, by: asked.by, tookMs });
  else call.world.stdout.write(`The node has stopped, after ${(tookMs / 1000).toFixed(1)} s.\n`);
  return 0;
}

/** Through its API; where that does not answer, by a signal to its process. */
async function ask(call: Call, mark: NodeMark): Promise<Asked> {
  try {
    const node = await connect(call.home);
    const { graceSecs } = await node.ask<Stopping>({ method: 'POST', path: '/stop' });
    say(call, `Stopping the node (process ${mark.pid}): running jobs may finish, for at most ${graceSecs} s.`);
    return { by: 'api', graceSecs, node };
  } catch (thrown) {
    return signal(call, mark, toGoGridError(thrown));
  }
}

/** The process of that id may be another by now: only one that is as old as the node was is told. */
async function signal(call: Call, mark: NodeMark, why: GoGridError): Promise<Asked> {
  const { processes } = call.world;
  const startedAt = await processes.startedAt(mark.pid);
  const isNode =
    startedAt !== undefined &&
    startedAt <= mark.startedAt + CLI.startToleranceMs &&
    startedAt >= mark.startedAt - CLI.maxStartMs;
  if (!isNode) {
    throw new GoGridError({
      code: 'node_not_running',
      message: `no node answers in ${call.home.folder}, and process ${mark.pid} seems to be another program by now`,
      hint: `if it is a node all the same, end it yourself: kill ${mark.pid}`,
      cause: why,
    });
  }
  say(call, `Its API does not answer (${printable(why.message)}): process ${mark.pid} is sent SIGTERM.`);
  processes.terminate(mark.pid);
  const { config } = await resolveSettings(call);
  return { by: 'signal', graceSecs: config.node.shutdown_grace_secs, node: undefined };
}

/** @throws GoGridError `deadline_exceeded` when it still runs after its grace */
async function waitForEnd(call: Call, mark: NodeMark, { graceSecs, node }: Asked): Promise<void> {
  const { world } = call;
  const until = world.now() + graceSecs * 1000 + CLI.downExtraMs;
  let askAt = world.now() + CLI.downAskMs;
  let told = '';
  while (world.processes.isAlive(mark.pid)) {
    if (world.now() > until) throw stillRuns(mark.pid, graceSecs);
    if (node !== undefined && world.now() >= askAt) {
      askAt = world.now() + CLI.downAskMs;
      const reason = await waitsFor(node);
      // The seconds in it count down: once is enough.
      if (reason !== undefined && told === '') {
        told = reason;
        say(call, `It waits: ${reason}.`);
      }
    }
    await world.wait(CLI.downLookMs);
  }
}

async function waitsFor(node: NodeClient): Promise<string | undefined> {
  const status = await node.ask<NodeStatusAnswer>({ path: '/status' }).catch(() => undefined);
  return status?.reason?.replace(/^it ends: /, '');
}

function stillRuns(pid: number, graceSecs: number): GoGridError {
  return new GoGridError({
    code: 'deadline_exceeded',
    message: `the node (process ${pid}) still runs, ${graceSecs} s of grace after it was asked to stop`,
    hint: `its log tells more: gogrid logs; kill -9 ${pid} ends it at once`,
  });
}

function say(call: Call, text: string): void {
  if (!call.json) call.world.stdout.write(`${text}\n`);
}
