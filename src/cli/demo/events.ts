/** What happens in the demo, one event after the other: the screen shows them, `--json` prints them. */

import type { PullState } from '../../contract/pulls.ts';
import type { Role } from './cast.ts';
import type { Comparison } from './checks.ts';

/** What one node wrote. Tokens are counted over the whole answer, `toToken` not included. */
export interface WrittenPart {
  readonly node: string;
  readonly fromToken: number;
  readonly toToken: number;
  readonly text: string;
}

/** The same question once more, with nobody killed. */
export interface Reference extends Comparison {
  readonly node: string;
  readonly text: string;
}

/** Times are in milliseconds. */
export type DemoEvent =
  | { readonly event: 'begin'; readonly nodes: readonly string[]; readonly folder: string }
  | { readonly event: 'starting'; readonly node: string }
  | {
      readonly event: 'node';
      readonly node: string;
      readonly role: Role;
      readonly pid: number;
      readonly peerId: string;
      readonly api: string;
      readonly startedMs: number;
    }
  | { readonly event: 'downloading'; readonly node: string; readonly model: string; readonly progress: PullState }
  | { readonly event: 'loading'; readonly node: string; readonly model: string }
  | {
      readonly event: 'loaded';
      readonly node: string;
      readonly model: string;
      /** In one engine for all nodes. */
      readonly shared: boolean;
      readonly loadedMs: number;
    }
  /** The node that asks sees all the others. */
  | { readonly event: 'mesh'; readonly node: string; readonly peers: number }
  | { readonly event: 'asked'; readonly node: string; readonly model: string; readonly question: string }
  | {
      readonly event: 'answering';
      readonly node: string;
      readonly route: string;
      readonly job: string;
      readonly firstTextMs: number;
    }
  | { readonly event: 'text'; readonly node: string; readonly text: string }
  | { readonly event: 'killed'; readonly node: string; readonly pid: number; readonly afterWords: number }
  /** The killed process is gone, and nothing more of it is on its way. */
  | { readonly event: 'silent'; readonly node: string; readonly pid: number }
  | { readonly event: 'continued'; readonly node: string; readonly route: string }
  /** The answer is over, `full` when it was as long as it may be; it is asked for once more to compare. */
  | { readonly event: 'comparing'; readonly full: boolean }
  | {
      readonly event: 'done';
      readonly text: string;
      readonly parts: readonly WrittenPart[];
      readonly tokens: number;
      /** Every part begins at the token at which the one before ended. */
      readonly contiguous: boolean;
      readonly killed: { readonly node: string; readonly pid: number };
      /** Between the last text of the killed node and the first of the next. */
      readonly standstillMs: number;
      readonly firstTextMs: number;
      readonly reference: Reference;
    }
  | { readonly event: 'ended'; readonly processes: number; readonly tookMs: number };

/** Tells the story. */
export interface Teller {
  tell(event: DemoEvent): void;
  /** Whatever stands on the screen half written is finished: an error follows. */
  breakOff(): void;
}
