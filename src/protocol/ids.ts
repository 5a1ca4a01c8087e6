/** Identities: a node, its account and its libp2p identity are one Ed25519 public key (docs/protocol.md). */

import { createHash } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { GoGridError } from '../errors.ts';
import { encode } from './cbor.ts';

/** A node's name on the mesh: its libp2p PeerId as text, `12D3Koo…`. */
export type NodeId = string;

/** The PeerId spec: identity multihash (00 24) of the protobuf of an Ed25519 public key (08 01 12 20). */
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
const KEY_BYTES = 32;

/** The PeerId of a public key of 32 bytes. */
export function nodeIdOf(publicKey: Uint8Array): NodeId {
  const bytes = new Uint8Array(PEER_ID_PREFIX.length + KEY_BYTES);
  bytes.set(PEER_ID_PREFIX);
  bytes.set(publicKey, PEER_ID_PREFIX.length);
  return base58btc.baseEncode(bytes);
}

/**
 * The Ed25519 public key inside a PeerId.
 * @throws GoGridError `protocol_violation` when it is not the PeerId of an Ed25519 key
 */
export function publicKeyOf(node: NodeId): Uint8Array {
  const bytes = node.length > 64 ? undefined : tryBase58(node);
  const isEd25519 =
    bytes?.length === PEER_ID_PREFIX.length + KEY_BYTES && PEER_ID_PREFIX.every((byte, i) => byte === bytes[i]);
  if (!isEd25519) throw new GoGridError({ code: 'protocol_violation', message: 'not the PeerId of an Ed25519 key' });
  return bytes.subarray(PEER_ID_PREFIX.length);
}

/** Whether `text` is the PeerId of an Ed25519 key. */
export function isNodeId(text: string): boolean {
  try {
    publicKeyOf(text);
    return true;
  } catch {
    return false;
  }
}

function tryBase58(text: string): Uint8Array | undefined {
  try {
    return base58btc.baseDecode(text);
  } catch {
    return undefined;
  }
}

/** The part of a network descriptor that never changes; its hash is the mesh's id. */
export interface NetworkCore {
  readonly version: number;
  readonly name: string;
  /** The founder's public key; empty for `local`. */
  readonly founder: Uint8Array;
  readonly genesisMicrocredits: bigint;
  /** Milliseconds since 1970; 0 for `local`. */
  readonly createdAt: number;
}

/** The default mesh: no founder, no bootstrap, no credits; a fresh install meets the machines beside it here. */
export const LOCAL_NETWORK: NetworkCore = {
  version: 1,
  name: 'local',
  founder: new Uint8Array(0),
  genesisMicrocredits: 0n,
  createdAt: 0,
};

/** SHA-256 of the canonical CBOR of the core, 32 bytes. */
export function networkIdOf(core: NetworkCore): Uint8Array {
  const bytes = encode([core.version, core.name, core.founder, core.genesisMicrocredits, core.createdAt]);
  return createHash('sha256').update(bytes).digest();
}

/**
 * A job's id: UUID version 7 (RFC 9562), so that ids sort by the time they were made.
 * @param nowMs milliseconds since 1970
 * @param random at least 10 random bytes
 */
export function newJobId(nowMs: number, random: Uint8Array): string {
  const hex = nowMs.toString(16).padStart(12, '0') + Buffer.from(random.subarray(0, 10)).toString('hex');
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
