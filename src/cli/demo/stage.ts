/** What every part of the demo needs. */

import type { Sandbox, World } from '../world.ts';
import type { Teller } from './events.ts';
import type { DemoOptions } from './options.ts';

export interface Stage {
  readonly world: World;
  readonly sandbox: Sandbox;
  readonly teller: Teller;
  readonly options: DemoOptions;
  /** The home of the user's own node, whose models serve here too. */
  readonly homeFolder: string;
  /** Aborted: the user has had enough. */
  readonly signal: AbortSignal;
  /** Ends the demo: something went wrong beside the story. */
  fail(error: Error): void;
}
