/**
 * The network descriptor: the signed document that names a mesh (docs/protocol.md). A fixed core, whose hash is the mesh's
 * id, and terms that its founder may reissue under a higher revision.
 *
 * On the wire it is `[payload, signature]`, where payload is the canonical CBOR of `[core, terms]`: core is `[version, name,
 * founder, genesisMicrocredits, createdAt]`, terms are `[revision, bootstrap, admission, witnesses, params]`. The founder
 * signs `"gogrid/descriptor/1" ‖ 0 ‖ payload`. The core, and with it the mesh, is in what is signed, so terms of one mesh are
 * worth nothing in another. `descriptor-file.ts` has it in readable form.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { peerAddress, printable } from '../config/checks.ts';
import { type ErrorCode, GoGridError } from '../errors.ts';
import { DESCRIPTOR } from '../limits/mesh.ts';
import { decode, decodeCanonical, encode } from './cbor.ts';
import { signedBytes } from './envelope.ts';
import { LOCAL_NETWORK, type NetworkCore, networkIdOf, nodeIdOf } from './ids.ts';
import { type Signer, verifySignature } from './signature.ts';

/** Who is admitted: every node of the mesh, those that a node's user has confirmed, or holders of a certificate. */
export const ADMISSION_RULES = ['all', 'confirm', 'members'] as const;
export type AdmissionRule = (typeof ADMISSION_RULES)[number];

/** What the founder may reissue. */
export interface NetworkTerms {
  /** Grows with every reissue, from 1; 0 for `local`. */
  readonly revision: number;
  /** Multiaddrs with `/p2p` to join through. */
  readonly bootstrap: readonly string[];
  readonly admission: AdmissionRule;
  /** Public keys of those who attest the ledger; when there are none, the founder's node does. */
  readonly witnesses: readonly Uint8Array[];
  /** Whole numbers and short texts for parts to come. */
  readonly params: Readonly<Record<string, number | string>>;
}

export interface NetworkDescriptor {
  readonly core: NetworkCore;
  readonly terms: NetworkTerms;
  /** The founder's; empty for `local`, which is part of the program and needs none. */
  readonly signature: Uint8Array;
  /** SHA-256 of the core, 32 bytes. */
  readonly networkId: Uint8Array;
  /** SHA-256 of core and terms. Two signatures over the same are one descriptor. */
  readonly hash: Uint8Array;
}

/** What a founder may change; what is left out stays. */
export type TermsChanges = {
  readonly [Field in Exclude<keyof NetworkTerms, 'revision'>]?: NetworkTerms[Field] | undefined;
};

/** The mesh that a fresh install is in, so that it finds the machines beside it. */
export const LOCAL_DESCRIPTOR: NetworkDescriptor = {
  core: LOCAL_NETWORK,
  terms: { revision: 0, bootstrap: [], admission: 'all', witnesses: [], params: {} },
  signature: new Uint8Array(0),
  networkId: networkIdOf(LOCAL_NETWORK),
  hash: new Uint8Array(32),
};

export function isLocal(descriptor: NetworkDescriptor): boolean {
  return descriptor.core.founder.length === 0;
}

/* ---- the wire ---- */

const VERSION = 1;
const VISIBLE = /^[\x21-\x7e]+$/;
const PARAM_NAME = /^[a-z][a-z0-9_.]*$/;

const key = z.instanceof(Uint8Array).refine((bytes) => bytes.length === 32, 'is not a public key of 32 bytes');
const uint = (max: number) => z.int('is not a whole number').min(0, 'is below 0').max(max, `is above ${max}`);
const printed = (max: number) =>
  z
    .string('is not a text')
    .max(max, `is longer than ${max} characters`)
    // A check of ours ends a sentence that begins with the value; the value may be anything, and is not shown.
    .superRefine((text, context) => {
      const problem = printable(text);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    });
const address = z
  .string('is not a text')
  .max(DESCRIPTOR.maxAddressChars, `is longer than ${DESCRIPTOR.maxAddressChars} characters`)
  .refine((text) => VISIBLE.test(text) && peerAddress(text) === undefined, {
    message: 'is not a multiaddr that ends in /p2p/ and the id of the peer',
  });
const genesis = z
  .union([z.int(), z.bigint()], 'is not a whole number')
  .transform(BigInt)
  .refine((amount) => amount >= 0n && amount <= DESCRIPTOR.maxGenesisMicrocredits, 'is not between 0 and 2^63 - 1');
const paramName = z
  .string()
  .max(DESCRIPTOR.maxParamNameChars)
  .regex(PARAM_NAME, 'is not a name of small letters, digits, _ and .');

const wireCore = z.tuple([
  z.literal(VERSION, `is not ${VERSION}, the version that this program knows`),
  printed(DESCRIPTOR.maxNameChars).refine((name) => name.trim() !== '', 'is empty'),
  key,
  genesis,
  uint(Number.MAX_SAFE_INTEGER),
]);

const wireTerms = z.tuple([
  uint(DESCRIPTOR.maxRevision).min(1, 'is below 1'),
  z.array(address).max(DESCRIPTOR.maxBootstrap, `has more than ${DESCRIPTOR.maxBootstrap} addresses`),
  z.enum(ADMISSION_RULES, `is none of ${ADMISSION_RULES.join(', ')}`),
  z
    .array(key)
    .max(DESCRIPTOR.maxWitnesses, `has more than ${DESCRIPTOR.maxWitnesses} keys`)
    .refine((keys) => new Set(keys.map(hex)).size === keys.length, 'names a key twice'),
  // Pairs and not a map: a map has more than one order, and readers that disagree on it.
  z
    .array(z.tuple([paramName, z.union([uint(Number.MAX_SAFE_INTEGER), printed(DESCRIPTOR.maxParamChars)])]))
    .max(DESCRIPTOR.maxParams, `has more than ${DESCRIPTOR.maxParams} entries`)
    .refine((pairs) => pairs.every(([name], at) => at === 0 || (pairs[at - 1]?.[0] ?? '') < name), 'is not in order'),
]);

const wirePayload = z.tuple([wireCore, wireTerms]);
const wireDescriptor = z.tuple([z.instanceof(Uint8Array), z.instanceof(Uint8Array)]);

/** Names of the fields by their places in the payload, for sentences. */
const FIELDS = [
  ['version', 'name', 'founder', 'genesisMicrocredits', 'createdAt'],
  ['revision', 'bootstrap', 'admission', 'witnesses', 'params'],
] as const;

function payloadOf(core: NetworkCore, terms: NetworkTerms): Uint8Array {
  return encode([
    [core.version, core.name, core.founder, core.genesisMicrocredits, core.createdAt],
    [
      terms.revision,
      terms.bootstrap,
      terms.admission,
      terms.witnesses,
      Object.entries(terms.params).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ],
  ]);
}

/** The signed bytes as they go over the wire. */
export function sealDescriptor({
  core,
  terms,
  signature,
}: Pick<NetworkDescriptor, 'core' | 'terms' | 'signature'>): Uint8Array {
  return encode([payloadOf(core, terms), signature]);
}

/**
 * Checks size, encoding, bounds and signature, in this order, cheapest first.
 * @param code of the error, for bytes that did not come from a peer
 * @throws GoGridError `protocol_violation` saying what is wrong
 */
export function openDescriptor(bytes: Uint8Array, code: ErrorCode = 'protocol_violation'): NetworkDescriptor {
  const fail = (message: string, signature = true) =>
    new GoGridError({ code, message, ...(signature ? {} : { data: { signature: false } }) });
  if (bytes.length > DESCRIPTOR.maxBytes) throw fail(`a descriptor of more than ${DESCRIPTOR.maxBytes} bytes`);
  const wire = wireDescriptor.safeParse(decode(bytes, 'a descriptor'));
  if (!wire.success) throw fail('a descriptor is not [payload, signature]');
  const [payload, signature] = wire.data;
  const parsed = wirePayload.safeParse(decodeCanonical(payload, 'a descriptor'));
  if (!parsed.success) throw fail(problemOf(parsed.error));
  const [[version, name, founder, genesisMicrocredits, createdAt], [revision, bootstrap, admission, witnesses, pairs]] =
    parsed.data;
  if (!verifySignature(founder, signedBytes('descriptor', payload), signature)) {
    throw fail("the signature is not the founder's over what stands here", false);
  }
  const core: NetworkCore = { version, name, founder: plain(founder), genesisMicrocredits, createdAt };
  return {
    core,
    terms: { revision, bootstrap, admission, witnesses: witnesses.map(plain), params: Object.fromEntries(pairs) },
    signature: plain(signature),
    networkId: networkIdOf(core),
    hash: new Uint8Array(createHash('sha256').update(payload).digest()),
  };
}

/** The first thing wrong, as a sentence that names the field. */
function problemOf(error: z.ZodError): string {
  const [issue] = error.issues;
  const [part, field, item] = issue?.path ?? [];
  const name = FIELDS[part as 0 | 1]?.[field as number];
  if (name === undefined) return 'a descriptor is not [core, terms]';
  const where = typeof item === 'number' ? `${name} ${item + 1}` : name;
  return `${where} ${issue?.message}`;
}

/* ---- making one ---- */

/**
 * A new mesh, of which `signer` is the founder.
 * @param core its name, its credits and the time now, in milliseconds since 1970
 * @throws GoGridError `invalid_descriptor` naming the field
 */
export function createDescriptor(
  core: Pick<NetworkCore, 'name' | 'genesisMicrocredits' | 'createdAt'>,
  terms: TermsChanges,
  signer: Signer,
): NetworkDescriptor {
  if (core.name === LOCAL_NETWORK.name) {
    throw new GoGridError({
      code: 'invalid_descriptor',
      message: `name is '${core.name}', as the mesh is called that every new node is in`,
      hint: 'choose another name',
    });
  }
  const whole: NetworkCore = { version: VERSION, ...core, founder: signer.publicKey };
  return signed(whole, changed(LOCAL_DESCRIPTOR.terms, terms), signer);
}

/**
 * The next revision of a descriptor.
 * @throws GoGridError `not_founder`, `not_built` when witnesses change, `invalid_descriptor` naming the field
 */
export function reissue(descriptor: NetworkDescriptor, changes: TermsChanges, signer: Signer): NetworkDescriptor {
  const { core, terms } = descriptor;
  if (hex(signer.publicKey) !== hex(core.founder)) throw notFounder(descriptor);
  const { witnesses = terms.witnesses } = changes;
  if (witnesses.map(hex).join() !== terms.witnesses.map(hex).join()) {
    throw new GoGridError({
      code: 'not_built',
      message: 'the witnesses of a mesh cannot change yet: the old ones have to sign it, which needs the ledger',
    });
  }
  return signed(core, changed(terms, changes), signer);
}

function changed(terms: NetworkTerms, changes: TermsChanges): NetworkTerms {
  return {
    revision: terms.revision + 1,
    bootstrap: changes.bootstrap ?? terms.bootstrap,
    admission: changes.admission ?? terms.admission,
    witnesses: changes.witnesses ?? terms.witnesses,
    params: changes.params ?? terms.params,
  };
}

/** The refusal for everybody else. */
export function notFounder(descriptor: NetworkDescriptor): GoGridError {
  const { core } = descriptor;
  if (isLocal(descriptor)) {
    return new GoGridError({
      code: 'not_founder',
      message: `the mesh '${core.name}' is part of the program and has no founder: nobody can reissue it`,
      hint: 'make a mesh of your own: gogrid network create --home DIR --name NAME',
    });
  }
  return new GoGridError({
    code: 'not_founder',
    message: `only the founder of the mesh '${core.name}', ${nodeIdOf(core.founder)}, may reissue its descriptor`,
    hint: 'do it in the home that `gogrid network create` made',
  });
}

/** What comes out is read back from what was signed: an odd text is what everybody will read, or is refused here. */
function signed(core: NetworkCore, terms: NetworkTerms, signer: Signer): NetworkDescriptor {
  const payload = payloadOf(core, terms);
  const signature = signer.sign(signedBytes('descriptor', payload));
  return openDescriptor(encode([payload, signature]), 'invalid_descriptor');
}

/**
 * Refuses terms that this version would not keep. Treating `members` as `all` would open what the founder wanted closed.
 * @throws GoGridError `not_built`
 */
export function expectBuilt({ core, terms }: NetworkDescriptor): void {
  if (terms.admission !== 'members') return;
  throw new GoGridError({
    code: 'not_built',
    message: `the mesh '${core.name}' admits members only, and membership certificates are not built yet`,
    hint: 'use admission all or confirm, or a version of GoGrid that has certificates',
  });
}

/* ---- what people and programs are shown ---- */

/** A descriptor in the words of the API (`contract/network.ts`): keys as PeerIds, amounts as decimal texts. */
export function describeDescriptor({ core, terms, networkId }: NetworkDescriptor) {
  const local = core.founder.length === 0;
  return {
    name: core.name,
    networkId: hex(networkId),
    founder: local ? null : nodeIdOf(core.founder),
    genesisMicrocredits: String(core.genesisMicrocredits),
    createdAt: local ? null : core.createdAt,
    revision: terms.revision,
    bootstrap: [...terms.bootstrap],
    admission: terms.admission,
    witnesses: terms.witnesses.map(nodeIdOf),
    params: { ...terms.params },
  };
}

/* ---- which of two holds ---- */

/**
 * Whether `next` takes the place of `current`: the same mesh, and a higher revision. A founder whose home was copied or
 * restored can sign two descriptors of one revision; then the one of the smaller hash holds. Every node decides so,
 * whichever it heard first, so that the mesh does not stay in two minds; and nobody can gain by it who does not hold the
 * founder's key. The founder ends such a draw with another revision.
 */
export function supersedes(next: NetworkDescriptor, current: NetworkDescriptor): boolean {
  if (hex(next.networkId) !== hex(current.networkId)) return false;
  if (next.terms.revision !== current.terms.revision) return next.terms.revision > current.terms.revision;
  return Buffer.compare(next.hash, current.hash) < 0;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** A copy, so that a small part does not keep the frame it came in. */
function plain(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}
