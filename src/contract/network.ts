/** The mesh that a node is in: what `GET /network` answers, and what its founder may ask for. */

import { z } from 'zod';
import { DESCRIPTOR } from '../limits/mesh.ts';

const uint = z.int().nonnegative();
const account = z.string().describe('a public key as PeerId, 12D3Koo…');
const admissionRule = z.enum(['all', 'confirm', 'members']);

export const network = z.object({
  name: z.string(),
  networkId: z.string().describe('SHA-256 of the fixed part of the descriptor, hex'),
  founder: account.nullable().describe('null for the mesh `local`, which has none'),
  isFounder: z.boolean().describe('this node holds the founder’s key'),
  genesisMicrocredits: z.string().describe('all credits there are, a decimal text'),
  createdAt: uint.nullable().describe('milliseconds since 1970'),
  revision: uint.describe('grows with every reissue; 0 for `local`'),
  bootstrap: z.array(z.string()).describe('multiaddrs with /p2p to join through'),
  admission: admissionRule.describe('whom the mesh admits; network.accept may narrow it for one node'),
  witnesses: z.array(account),
  params: z.record(z.string(), z.union([uint, z.string()])),
  pendingRestart: z
    .array(z.enum(['admission']))
    .min(1)
    .optional()
    .describe('terms that the running node goes by only after a restart; absent where there are none'),
  file: z.string().nullable().describe('the signed descriptor, to be given to other nodes; null for `local`'),
});

/** What `POST /network/reissue` changes; what is left out stays. */
export const networkChanges = z
  .strictObject({
    bootstrap: z.array(z.string().max(DESCRIPTOR.maxAddressChars)).max(DESCRIPTOR.maxBootstrap).optional(),
    admission: admissionRule.optional(),
  })
  .refine(({ bootstrap, admission }) => bootstrap !== undefined || admission !== undefined, {
    message: 'names nothing to change: bootstrap or admission',
  });

export type Network = z.infer<typeof network>;
export type NetworkChanges = z.infer<typeof networkChanges>;
export type AdmissionRule = z.infer<typeof admissionRule>;
