/** One node of the demo: a process of its own with a home of its own, driven as any program would. */

import path from 'node:path';
import type { Peer, PeerList, ReadyEvent } from '../../contract/control.ts';
import { readyEvent } from '../../contract/control.ts';
import { GoGridError, isErrorCode } from '../../errors.ts';
import { DEMO } from '../../limits/program.ts';
import { connect, errorIn, type NodeClient } from '../node-client.ts';
import type { Sandbox, StartedProgram, World } from '../world.ts';
import type { Part } from './cast.ts';

export interface MemberOptions {
  readonly part: Part;
  /** Multiaddrs to join through. */
  readonly bootstrap: readonly string[];
  /** The settings of its engine. */
  readonly engine: Readonly<Record<string, string>>;
}

export interface Member {
  readonly part: Part;
  readonly ready: ReadyEvent;
  /** From the start of the process until it was ready. */
  readonly startedMs: number;
  readonly client: NodeClient;
  readonly process: StartedProgram;
}

/** A mesh of its own: free ports on this machine alone, no multicast, and no regard for who else is busy here. */
const SETTINGS: Readonly<Record<string, string>> = {
  GOGRID_API_PORT: '0',
  GOGRID_NETWORK_PORT: '0',
  GOGRID_NETWORK_LISTEN: '127.0.0.1',
  GOGRID_NETWORK_MDNS: 'false',
  GOGRID_NETWORK_ACCEPT: 'all',
  GOGRID_RESOURCES_ENABLE_ADAPTIVE_THROTTLING: 'false',
  GOGRID_NODE_SHUTDOWN_GRACE_SECS: '3',
};

/**
 * Starts a node and waits until it says that it is ready.
 * @throws GoGridError that names the node and says why it did not start
 */
export async function startMember(world: World, sandbox: Sandbox, options: MemberOptions): Promise<Member> {
  const { name } = options.part;
  const folder = path.join(sandbox.folder, name);
  const startedAt = world.now();
  const program = sandbox.start(['up', '--home', folder, '--json'], environment(world, options));
  const late = world.wait(DEMO.readyWithinMs).then(() => 'late' as const);
  const line = await Promise.race([program.firstLine, late]);
  if (line === 'late' || line === undefined) throw await notStarted(name, program, line === 'late');
  const ready = readyEvent.parse(JSON.parse(line));
  const startedMs = world.now() - startedAt;
  return { part: options.part, ready, startedMs, client: await connect(await world.home(folder)), process: program };
}

/** What the user has set for a node of their own is not meant for these; the rest of the environment is. */
function environment(world: World, { part, bootstrap, engine }: MemberOptions): Record<string, string> {
  const own = Object.entries(world.env).filter(([name]) => !name.startsWith('GOGRID_'));
  return {
    ...Object.fromEntries(own.map(([name, value]) => [name, value ?? ''])),
    ...SETTINGS,
    GOGRID_NODE_NODE_NAME: part.name,
    GOGRID_NETWORK_BOOTSTRAP: bootstrap.join(','),
    ...(part.role === 'runs' ? engine : { GOGRID_ENGINE_KIND: 'none' }),
  };
}

async function notStarted(name: string, program: StartedProgram, late: boolean): Promise<GoGridError> {
  if (late) {
    program.kill();
    return new GoGridError({
      code: 'deadline_exceeded',
      message: `the node '${name}' was not ready within ${DEMO.readyWithinMs / 1000} seconds`,
      hint: 'the machine may be too busy: try again, or with --nodes 3',
    });
  }
  return notAlive(`the node '${name}' did not start`, program);
}

/** Why a node is gone that nobody has killed. */
export async function notAlive(what: string, program: StartedProgram): Promise<GoGridError> {
  const { code, signal } = await program.ended;
  const told = program
    .said()
    .split('\n')
    .map(errorIn)
    .findLast((error) => error !== undefined);
  const known = told?.code !== undefined && isErrorCode(told.code) ? told.code : 'internal';
  return new GoGridError({
    code: known,
    message: `${what}: ${told?.message ?? `it ended with ${signal ?? `exit code ${code}`}`}`,
    ...(told?.hint === undefined ? {} : { hint: told.hint }),
  });
}

/** Waits until `member` lists every other node, ready for jobs, and those that run the model with it. */
export async function seesOthers(
  world: World,
  member: Member,
  others: readonly Member[],
  model: string,
  signal: AbortSignal,
): Promise<void> {
  const until = world.now() + DEMO.meshWithinMs;
  for (;;) {
    const { peers } = await member.client.ask<PeerList>({ path: '/mesh/peers', signal });
    const missing = others.filter((other) => !peers.some((peer) => isUseful(peer, other, model)));
    if (missing.length === 0) return;
    if (world.now() > until) {
      const names = missing.map(({ part }) => part.name).join(', ');
      throw new GoGridError({
        code: 'peer_unreachable',
        message: `${member.part.name} did not find ${names} within ${DEMO.meshWithinMs / 1000} seconds`,
        hint: 'a firewall may forbid connections within this machine (127.0.0.1)',
      });
    }
    await world.wait(DEMO.lookEveryMs);
  }
}

function isUseful(peer: Peer, other: Member, model: string): boolean {
  if (peer.peerId !== other.ready.peerId || !peer.admitted || peer.status !== 'idle') return false;
  return other.part.role !== 'runs' || (peer.models.includes(model) && peer.latencyMs !== null);
}
