/** `--privacy TIER`: who may see a prompt, of the commands that ask or would ask. */

import { type Option, usage } from './arguments.ts';
import { type Call, flagOf } from './command.ts';

export const TIERS = ['local', 'own', 'friends', 'mesh'];

export const PRIVACY_OPTION: Option = {
  name: 'privacy',
  kind: 'text',
  placeholder: 'TIER',
  doc: 'who may see the prompt: local, own, friends or mesh (else privacy.default)',
};

/**
 * The header that says it; none without the flag, so that the node's own setting holds.
 * @throws GoGridError `usage`
 */
export function privacyHeaders(call: Pick<Call, 'flags'>, command: string): Readonly<Record<string, string>> {
  const tier = flagOf(call, 'privacy');
  if (tier === undefined) return {};
  if (TIERS.includes(tier)) return { 'x-gogrid-privacy': tier };
  throw usage(`--privacy: '${tier}' is not one of ${TIERS.join(', ')}`, command);
}
