/** Who has a model, and who of them may and can run a job: each that is left out has a reason. Pure. */

import type { NodeStatus } from '../../protocol/beat.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { ModelProfile } from '../../protocol/profile.ts';
import { maySee } from '../privacy.ts';
import type { Demand, Exclusion, RouteQuery } from './decision.ts';

/** A node that has the model. */
export interface Holder {
  readonly node: NodeId;
  readonly local: boolean;
  readonly model: ModelProfile;
  /** As the last beat said; undefined of this machine, which knows its own. */
  readonly beat: HeardBeat | undefined;
}

export interface HeardBeat {
  readonly status: NodeStatus;
  readonly queueDepth: number;
  readonly running: number;
  /** `Clock.elapsed()` when it was made. */
  readonly at: number;
}

/** How this node stands to another. */
export interface Standing {
  readonly friend: boolean;
  /** Past `hello` and the admission rule, and not known to be out of reach. */
  readonly usable: boolean;
  /** It was tried lately, and not reached. */
  readonly outOfReach: boolean;
}

const TAKES_JOBS: ReadonlySet<NodeStatus> = new Set(['idle', 'busy']);

/**
 * Why a job does not go there, undefined when it may. What a node does not say of its model counts for it: an empty list of
 * capabilities and an unknown context exclude nobody, its engine will tell.
 */
export function exclusionOf(
  holder: Holder,
  query: Pick<RouteQuery, 'ref' | 'privacy' | 'delivered'>,
  demand: Demand,
  standing: Standing,
): Exclusion | undefined {
  const { model, local, beat } = holder;
  if (query.ref.digest !== undefined && query.ref.digest !== model.digest) return 'other-digest';
  if (!maySee(query.privacy, { local, friend: standing.friend })) return 'privacy';
  if (!standing.usable) return standing.outOfReach ? 'unreachable' : 'not-admitted';
  if (beat !== undefined && !TAKES_JOBS.has(beat.status)) return 'not-taking-jobs';
  if (query.delivered > 0 && model.continues === 'no') return 'cannot-continue';
  return model.capabilities.length === 0 ? undefined : incapacity(model.capabilities, demand);
}

function incapacity(capabilities: readonly string[], demand: Demand): Exclusion | undefined {
  const can = (ability: string) => capabilities.includes(ability);
  switch (demand.kind) {
    case 'load':
      return undefined;
    case 'embed':
      // Both engines embed with a model that speaks, too.
      return can('embedding') || can('completion') ? undefined : 'cannot-embed';
    default:
      if (!can('completion')) return 'cannot-chat';
      if (demand.tools && !can('tools')) return 'no-tools';
      if (demand.images && !can('vision')) return 'no-vision';
      if (demand.thinking && !can('thinking')) return 'no-thinking';
      return demand.insert && !can('insert') ? 'no-insert' : undefined;
  }
}

/** Whether its context seems too short for the prompt. How long the answer will be nobody knows, so it does not count. */
export function isTooShort({ contextLength }: Pick<ModelProfile, 'contextLength'>, promptTokens: number): boolean {
  return contextLength > 0 && contextLength < promptTokens;
}
