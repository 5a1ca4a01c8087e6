/** What people call the machines of the mesh. Peers choose their names themselves: none may pass for another machine. */

import type { Identity, PeerList } from '../contract/control.ts';
import { foldedName } from '../contract/names.ts';
import type { NodeClient } from './node-client.ts';
import { printable, shortId } from './text.ts';

/** `this machine`, a peer's name, or its shortened id where its name is not known. */
export type NameOf = (id: string) => string;

export interface NamedMachine {
  readonly peerId: string;
  readonly name: string;
}

/** Asks the node once; of two machines with one name each gets its id behind it. */
export async function machineNames(node: NodeClient, signal?: AbortSignal): Promise<NameOf> {
  const more = signal === undefined ? {} : { signal };
  const [{ peerId: self }, { peers, away }] = await Promise.all([
    node.ask<Identity>({ path: '/identity', ...more }),
    node.ask<PeerList>({ path: '/mesh/peers', ...more }),
  ]);
  return namesOf(self, [...peers, ...away]);
}

/** The same where it only decorates: ids where the node does not tell. */
export function machineNamesIfTold(node: NodeClient, signal?: AbortSignal): Promise<NameOf> {
  return machineNames(node, signal).catch(() => namesOf('', []));
}

export function namesOf(self: string, machines: readonly NamedMachine[]): NameOf {
  const byId = new Map(machines.map((machine) => [machine.peerId, machine]));
  const counts = new Map<string, number>();
  for (const { name } of byId.values()) counts.set(foldedName(name), (counts.get(foldedName(name)) ?? 0) + 1);
  return (id) => {
    if (id === self) return 'this machine';
    const machine = byId.get(id) ?? { peerId: id, name: '' };
    return (counts.get(foldedName(machine.name)) ?? 0) > 1 ? withId(machine) : machineName(machine);
  };
}

/** One machine by itself: its name, with its id where the name would pass for another machine; its id where it has no name. */
export function machineName(machine: NamedMachine): string {
  const name = foldedName(machine.name);
  return PASSES_FOR_ANOTHER.test(name) ? withId(machine) : printable(machine.name.trim() || shortId(machine.peerId));
}

/** Its name and its id, where a person decides about it: anybody may take the name. */
export function withId(machine: NamedMachine): string {
  const id = shortId(machine.peerId);
  return printable(machine.name.trim() === '' ? id : `${machine.name} (${id})`);
}

/** What this program calls its own machine, and the beginning of an id, wherever it stands in a name. */
const PASSES_FOR_ANOTHER = /thismachine|12d3koo/;
