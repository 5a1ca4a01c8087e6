/** gossipsub, set for meshes of a few to a thousand nodes. The defaults are made for tens of thousands on many machines. */

import { hash } from 'node:crypto';
import { type GossipsubOpts, StrictNoSign } from '@libp2p/gossipsub';
import { MESH } from '../limits/mesh.ts';
import type { Admission } from './hello.ts';
import type { NetworkNames } from './protocols.ts';

/** Far below every threshold of gossipsub: nothing of such a peer is heard, nothing is sent to it. */
const OUTSIDE_SCORE = -1e6;

export function gossipOptions(names: NetworkNames, admission: Admission): Partial<GossipsubOpts> {
  return {
    // Our envelope is the one signature; the message's id is what it says.
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => hash('sha256', message.data, 'buffer'),
    // Seen messages are found by it before anything else is done; it must resist collisions as the id does.
    fastMsgIdFn: (message) => hash('sha256', message.data ?? new Uint8Array(0), 'base64'),
    allowedTopics: [names.profileTopic, names.beatTopic, names.ledgerTopic],
    fallbackToFloodsub: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    // A node's own messages go to every peer: they are few and small, and a mesh that is still forming loses none.
    floodPublish: true,
    D: 4,
    Dlo: 3,
    Dhi: 6,
    Dout: 1,
    Dscore: 2,
    Dlazy: 4,
    heartbeatInterval: MESH.heartbeatMs,
    pruneBackoff: MESH.pruneBackoffMs,
    unsubcribeBackoff: MESH.pruneBackoffMs,
    graftFloodThreshold: MESH.pruneBackoffMs / 3,
    doPX: false,
    tagMeshPeers: true,
    maxOutboundBufferSize: MESH.maxGossipBacklogBytes,
    maxInboundDataLength: MESH.maxGossipBytes,
    decodeRpcLimits: {
      maxSubscriptions: MESH.maxGossipParts,
      maxMessages: MESH.maxGossipParts,
      maxControlMessages: MESH.maxGossipParts,
      maxPeerInfos: MESH.maxGossipParts,
      maxIhaveMessageIDs: MESH.maxGossipIds,
      maxIwantMessageIDs: MESH.maxGossipIds,
      maxIdontwantMessageIDs: MESH.maxGossipIds,
    },
    scoreParams: {
      // The last words of a peer, `leaving` among them, are read when its connection is closed already.
      appSpecificScore: (node) => (admission.isOutside(node) ? OUTSIDE_SCORE : 0),
      appSpecificWeight: 1,
      // Many nodes behind one address are the rule here: a LAN, a NAT, a test machine. The default starves their meshes.
      IPColocationFactorWeight: 0,
      // Small meshes graft and prune a lot; a handful of collisions is no attack.
      behaviourPenaltyWeight: -1,
      behaviourPenaltyThreshold: 6,
      retainScore: 60_000,
    },
  };
}
