/**
 * A profile: a node's signed statement of what it is. Numbered, sent when it changes and on request.
 *
 * On the wire it is the array `[networkId, node, number, issuedAt, name, version, region, addresses, hardware, models,
 * features]` in an envelope (docs/protocol.md); later versions append, this one ignores what it does not know.
 */

import { z } from 'zod';
import { GoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import { open, seal } from './envelope.ts';
import { type NodeId, nodeIdOf } from './ids.ts';
import { canonicalModelName } from './model-name.ts';
import type { Signer } from './signature.ts';

/** Whether an engine can go on in the middle of an answer; unknown until the model has run once. */
export type Continues = 'unknown' | 'no' | 'yes';
const CONTINUES: readonly Continues[] = ['unknown', 'no', 'yes'];

/** How fast a node runs a model, measured there over past jobs; each 0 when it is not known. */
export interface ModelRates {
  /** Output, while decoding. */
  readonly tokensPerSecond: number;
  /** Prompt. */
  readonly prefillTokensPerSecond: number;
  /** Milliseconds to load the model when it is cold. */
  readonly loadMs: number;
}

export const UNKNOWN_RATES: ModelRates = { tokensPerSecond: 0, prefillTokensPerSecond: 0, loadMs: 0 };

export interface ModelProfile extends ModelRates {
  /** Canonical name. */
  readonly name: string;
  /** SHA-256 as 64 lower-case hex characters. */
  readonly digest: string;
  /** Bytes on disk. */
  readonly sizeBytes: number;
  /** 0 when the engine does not say. */
  readonly parameterCount: number;
  /** Such as `Q4_K_M`; empty when the engine does not say. */
  readonly quantisation: string;
  readonly family: string;
  /** Tokens; 0 when the engine does not say. */
  readonly contextLength: number;
  /** Such as `completion`, `embedding`, `tools`, `vision`, `thinking`. */
  readonly capabilities: readonly string[];
  readonly continues: Continues;
  /** Loaded in memory now. */
  readonly warm: boolean;
}

export interface Hardware {
  readonly cores: number;
  readonly memoryBytes: number;
  /** Empty when there is none or it is not known. */
  readonly gpu: string;
  readonly vramBytes: number;
}

export interface Profile {
  readonly node: NodeId;
  /** Grows with every change; the higher number wins. */
  readonly number: number;
  /** Milliseconds since 1970 by the node's own clock: informs, decides nothing. */
  readonly issuedAt: number;
  readonly name: string;
  /** Version of the program. */
  readonly version: string;
  /** Where the operator says it is; empty when not said. */
  readonly region: string;
  /** Multiaddrs to reach it, without `/p2p`. */
  readonly addresses: readonly string[];
  readonly hardware: Hardware;
  readonly models: readonly ModelProfile[];
  readonly features: readonly string[];
}

const uint = z.int().nonnegative();
const text = (max: number) => z.string().max(max);
const list = <T extends z.ZodType>(item: T, max: number) => z.array(item).max(max);

const wireModel = z
  .tuple([
    text(400),
    z.instanceof(Uint8Array).refine((bytes) => bytes.length === 32),
    uint,
    uint,
    text(40),
    text(80),
    uint,
    list(text(40), 32),
    z.int().min(0).max(2),
    z.int().min(0).max(1),
    uint,
    // Profiles of 0.1.0 end here.
    uint.default(0),
    uint.default(0),
  ])
  .rest(z.unknown());

const wireProfile = z
  .tuple([
    uint,
    uint,
    text(MESH.maxNodeNameChars),
    text(40),
    text(40),
    list(text(256), MESH.maxAddressesPerProfile),
    z.tuple([uint, uint, text(120), uint]).rest(z.unknown()),
    list(wireModel, MESH.maxModelsPerProfile),
    list(text(40), 32),
  ])
  .rest(z.unknown());

/** Signs a profile; the author is the signer. Rates travel in thousandths of a token per second. */
export function sealProfile(network: Uint8Array, signer: Signer, profile: Omit<Profile, 'node'>): Uint8Array {
  const { hardware } = profile;
  return seal('profile', network, signer, [
    profile.number,
    profile.issuedAt,
    profile.name,
    profile.version,
    profile.region,
    profile.addresses,
    [hardware.cores, hardware.memoryBytes, hardware.gpu, hardware.vramBytes],
    profile.models.map((model) => [
      model.name,
      Buffer.from(model.digest, 'hex'),
      model.sizeBytes,
      model.parameterCount,
      model.quantisation,
      model.family,
      model.contextLength,
      model.capabilities,
      CONTINUES.indexOf(model.continues),
      model.warm ? 1 : 0,
      Math.round(model.tokensPerSecond * 1000),
      Math.round(model.prefillTokensPerSecond * 1000),
      Math.round(model.loadMs),
    ]),
    profile.features,
  ]);
}

/**
 * Opens and checks a profile.
 * @throws GoGridError `protocol_violation` or `wrong_network`
 */
export function openProfile(network: Uint8Array, bytes: Uint8Array): Profile {
  if (bytes.length > MESH.maxProfileBytes) throw violation(`a profile of ${bytes.length} bytes`);
  const { author, fields } = open('profile', network, bytes);
  const parsed = wireProfile.safeParse(fields);
  if (!parsed.success) throw violation(`a profile's field ${parsed.error.issues[0]?.path.join('.')} is malformed`);
  const [number, issuedAt, name, version, region, addresses, [cores, memoryBytes, gpu, vramBytes], models, features] =
    parsed.data;
  return {
    node: nodeIdOf(author),
    number,
    issuedAt,
    name,
    version,
    region,
    addresses,
    hardware: { cores, memoryBytes, gpu, vramBytes },
    models: models.map(readModel),
    features,
  };
}

function readModel(wire: z.infer<typeof wireModel>): ModelProfile {
  const [name, digest, sizeBytes, parameterCount, quantisation, family, contextLength, capabilities] = wire;
  const [, , , , , , , , continues, warm, milliTokensPerSecond, milliPrefillTokensPerSecond, loadMs] = wire;
  if (canonicalModelName(name) !== name) throw violation("a profile's model name is not canonical");
  return {
    name,
    digest: Buffer.from(digest).toString('hex'),
    sizeBytes,
    parameterCount,
    quantisation,
    family,
    contextLength,
    capabilities,
    continues: CONTINUES[continues] ?? 'unknown',
    warm: warm === 1,
    // What no machine does counts as the most that one may do: the node is asked all the same, and measured.
    tokensPerSecond: Math.min(milliTokensPerSecond / 1000, MESH.maxTokensPerSecond),
    prefillTokensPerSecond: Math.min(milliPrefillTokensPerSecond / 1000, MESH.maxPrefillTokensPerSecond),
    loadMs,
  };
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
