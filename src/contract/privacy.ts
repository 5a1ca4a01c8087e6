/** The friends of a node's user: the peers that may see prompts of the privacy tier `friends`. */

import { z } from 'zod';
import { MESH } from '../limits/mesh.ts';

const peerId = z.string().describe('libp2p PeerId, 12D3Koo…');

export const friendList = z.object({
  friends: z.array(z.object({ peerId, name: z.string().describe('as it was last known; may be empty') })),
  total: z.int().nonnegative(),
});

/** Body of `PUT /privacy/friends`: the whole list, in place of the one before. */
export const friendChoice = z.object({ friends: z.array(peerId).max(MESH.maxFriends) });

export type FriendList = z.infer<typeof friendList>;
export type FriendChoice = z.infer<typeof friendChoice>;
