/** How far a prompt may go. Fail closed: a request that nobody inside its tier can serve fails, and is never widened. Pure. */

/**
 * `local`: this machine. `own`: nodes of the same owner; until a node can have another owner than itself, that is this machine.
 * `friends`: nodes on this user's list. `mesh`: every admitted node.
 */
export const PRIVACY_TIERS = ['local', 'own', 'friends', 'mesh'] as const;
export type PrivacyTier = (typeof PRIVACY_TIERS)[number];

/** Whether a prompt of this tier may be shown to a node. */
export function maySee(tier: PrivacyTier, node: { readonly local: boolean; readonly friend: boolean }): boolean {
  if (node.local || tier === 'mesh') return true;
  return tier === 'friends' && node.friend;
}
