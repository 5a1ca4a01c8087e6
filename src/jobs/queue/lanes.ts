/** Whose jobs go first at a provider. Pure. */

/** In the order in which they are served. */
export const LANES = ['owner', 'paid', 'free'] as const;
export type Lane = (typeof LANES)[number];

export interface LaneFacts {
  /** Asked on this machine, or by a node of the same owner. */
  readonly own: boolean;
  /** Whether jobs can be paid for in this mesh. */
  readonly credits: boolean;
  /** The requester has agreed to the price, and can pay it. */
  readonly quoted: boolean;
}

/** Own jobs have no price. Where nobody can pay everybody is in the paid lane, at price 0; else only who pays. */
export function laneOf({ own, credits, quoted }: LaneFacts): Lane {
  if (own) return 'owner';
  return !credits || quoted ? 'paid' : 'free';
}
