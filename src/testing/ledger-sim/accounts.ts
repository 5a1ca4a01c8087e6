/** The accounts of a history and their keys; a node's own account is that of the same index. */

import type { AccountId, LedgerMesh } from '../../ledger/entries/entry.ts';
import { accountOf } from '../../ledger/entries/fields.ts';
import { LOCAL_NETWORK, type NodeId, networkIdOf } from '../../protocol/ids.ts';
import type { Signer } from '../../protocol/signature.ts';
import { idOf, signerOf } from '../sim/keys.ts';
import type { Plan } from './plan.ts';

const ids: AccountId[] = [];

export function accountIdOf(index: number): AccountId {
  ids[index] ??= accountOf(signerOf(index).publicKey);
  return ids[index];
}

export function accountSigner(index: number): Signer {
  return signerOf(index);
}

/** Where somebody is who is no node: nobody can ask there. */
export function nowhere(account: number): NodeId {
  return idOf(10_000 + account);
}

export const GENESIS = 1_000_000_000n;

/** The founder is the account of the first node. */
export function meshOf({ witnesses }: Plan): LedgerMesh {
  const core = { ...LOCAL_NETWORK, name: 'simulated', founder: signerOf(0).publicKey, genesisMicrocredits: GENESIS };
  return {
    networkId: networkIdOf(core),
    founder: accountIdOf(0),
    genesis: GENESIS,
    witnesses: witnesses.map(accountIdOf),
  };
}

/** How accounts and entries are called in a report. */
export function shortNames(plan: Plan): (text: string) => string {
  const names = plan.accounts.map(
    ({ cheats }, index) => [accountIdOf(index), `${cheats ? 'x' : 'a'}${index}`] as const,
  );
  const nodes = plan.nodes.map((_, index) => [idOf(index), `n${index}`] as const);
  return (text) => [...names, ...nodes].reduce((all, [id, name]) => all.replaceAll(id, name), text);
}
