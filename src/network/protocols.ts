/** Names on the wire: stream protocols and gossip topics (docs/protocol.md). */

export const HELLO_PROTOCOL = '/gogrid/hello/1';
export const STATE_PROTOCOL = '/gogrid/state/1';
export const JOB_PROTOCOL = '/gogrid/job/1';
export const WORK_PROTOCOL = '/gogrid/work/1';
export const LEDGER_PROTOCOL = '/gogrid/ledger/1';
export const WITNESS_PROTOCOL = '/gogrid/witness/1';

export interface NetworkNames {
  readonly profileTopic: string;
  readonly beatTopic: string;
  readonly ledgerTopic: string;
  readonly dhtProtocol: string;
}

/** What carries the mesh's id in its name, so that two meshes cannot mix. @param networkId 32 bytes */
export function networkNames(networkId: Uint8Array): NetworkNames {
  const id = Buffer.from(networkId).toString('hex');
  return {
    profileTopic: `/${id}/profile/1`,
    beatTopic: `/${id}/beat/1`,
    ledgerTopic: `/${id}/ledger/1`,
    dhtProtocol: `/gogrid/${id}/kad/1.0.0`,
  };
}
