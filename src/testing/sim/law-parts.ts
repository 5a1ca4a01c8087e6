/** What the laws look at. */

import type { NodeId } from '../../protocol/ids.ts';
import type { SimNetwork } from './network.ts';
import type { Plan } from './plan.ts';
import type { World } from './world.ts';

export interface LawParts {
  readonly world: World;
  readonly plan: Plan;
  readonly network: () => SimNetwork;
  readonly indexOf: (id: NodeId) => number;
}
