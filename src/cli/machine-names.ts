/** What people call the machines of the mesh. */

import type { Identity, PeerList } from '../contract/control.ts';
import type { NodeClient } from './node-client.ts';
import { printable, shortId } from './text.ts';

/** `this machine`, a peer's name, or its shortened id where its name is not known. */
export type NameOf = (id: string) => string;

/** Asks the node once; of two machines with one name each gets its id behind it. */
export async function machineNames(node: NodeClient): Promise<NameOf> {
  const [{ peerId: self }, { peers }] = await Promise.all([
    node.ask<Identity>({ path: '/identity' }),
    node.ask<PeerList>({ path: '/mesh/peers' }),
  ]);
  return namesOf(self, peers);
}

export function namesOf(self: string, peers: readonly { readonly peerId: string; readonly name: string }[]): NameOf {
  const names = new Map(peers.map(({ peerId, name }) => [peerId, printable(name)]));
  const counts = new Map<string, number>();
  for (const name of names.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return (id) => {
    if (id === self) return 'this machine';
    const name = names.get(id) ?? '';
    if (name === '') return printable(shortId(id));
    return (counts.get(name) ?? 0) > 1 ? `${name} (${shortId(id)})` : name;
  };
}
