/**
 * `network.json`: the descriptor of the mesh that a home belongs to. A home without one is in the mesh `local`, until the
 * setting `network.descriptor` names a file, which is then copied into the home.
 */

import { readdir } from 'node:fs/promises';
import { GoGridError, systemCode, toGoGridError } from '../errors.ts';
import { DESCRIPTOR } from '../limits/mesh.ts';
import { HOME } from '../limits/program.ts';
import {
  createDescriptor,
  describeDescriptor,
  expectBuilt,
  isLocal,
  LOCAL_DESCRIPTOR,
  type NetworkDescriptor,
  notFounder,
  reissue,
  supersedes,
  type TermsChanges,
} from '../protocol/descriptor.ts';
import { readDescriptor, writeDescriptor } from '../protocol/descriptor-file.ts';
import { isNodeId, type NodeId, publicKeyOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { openDatabase } from './database.ts';
import { type HomePaths, makeFolder, prepareHome, readSmallFile, replaceFile, unusable } from './home.ts';
import { loadIdentity } from './key-file.ts';
import { markUnused } from './unused-key.ts';

/** The mesh of a home, and what to tell its user about how that was decided. */
export interface FoundMesh {
  readonly descriptor: NetworkDescriptor;
  /** It is not the one that lies in the home yet. */
  readonly isNew: boolean;
  readonly notice: string | undefined;
}

/**
 * Decides the mesh of a home, and changes nothing: the home's own descriptor; else the one in `given`; else `local`. A given
 * one of the home's mesh that supersedes the home's own takes its place.
 * @param given absolute path of the file in the setting `network.descriptor`
 * @throws GoGridError `invalid_descriptor` naming the file, `invalid_config` when `given` is of another mesh, `home_unusable`
 */
export async function findMesh(home: HomePaths, given: string | undefined): Promise<FoundMesh> {
  const own = await readDescriptorFile(home.networkFile);
  if (given === undefined || (given === home.networkFile && own !== undefined)) {
    return { descriptor: own ?? LOCAL_DESCRIPTOR, isNew: false, notice: undefined };
  }
  const theirs = await readDescriptorFile(given);
  if (theirs === undefined) return withoutGiven(given, own);
  if (own === undefined) return { descriptor: theirs, isNew: true, notice: undefined };
  if (Buffer.compare(own.networkId, theirs.networkId) !== 0) throw otherMesh(home, given, own, theirs);
  const isNew = supersedes(theirs, own);
  return { descriptor: isNew ? theirs : own, isNew, notice: undefined };
}

/** The file was given once and is gone now: the home has its copy. */
function withoutGiven(given: string, own: NetworkDescriptor | undefined): FoundMesh {
  if (own === undefined) {
    throw new GoGridError({
      code: 'invalid_config',
      message: `network.descriptor names ${given}, and there is no such file`,
      hint: 'give the whole path of the network.json that you got from whoever runs the mesh',
    });
  }
  const notice = `network.descriptor names ${given}, which is not there; this node stays in the mesh '${own.core.name}'`;
  return { descriptor: own, isNew: false, notice };
}

function otherMesh(home: HomePaths, given: string, own: NetworkDescriptor, theirs: NetworkDescriptor): GoGridError {
  return new GoGridError({
    code: 'invalid_config',
    message: `this home belongs to the mesh ${nameOf(own)}, and ${given} describes another, ${nameOf(theirs)}`,
    hint: `take network.descriptor away to stay, or use another --home for the other mesh; this one is decided by ${home.networkFile}`,
  });
}

/** Two meshes may have one name; never one id. */
function nameOf({ core, networkId }: NetworkDescriptor): string {
  return `'${core.name}' (${Buffer.from(networkId).toString('hex').slice(0, 12)}…)`;
}

/**
 * Decides the mesh of a home, as `findMesh`, and keeps it there.
 * @throws GoGridError also `not_built`, when the mesh asks for what this version cannot do
 */
export async function openMesh(home: HomePaths, given: string | undefined): Promise<FoundMesh> {
  const found = await findMesh(home, given);
  expectBuilt(found.descriptor);
  if (found.isNew) await saveDescriptor(home, found.descriptor);
  return found;
}

/** @throws GoGridError `home_unusable` */
export async function saveDescriptor(home: HomePaths, descriptor: NetworkDescriptor): Promise<void> {
  await replaceFile(home.networkFile, writeDescriptor(descriptor));
}

async function readDescriptorFile(file: string): Promise<NetworkDescriptor | undefined> {
  let text: string | undefined;
  try {
    text = await readSmallFile(file, DESCRIPTOR.maxFileBytes);
  } catch (thrown) {
    const { message, cause } = toGoGridError(thrown);
    throw new GoGridError({ code: 'invalid_descriptor', message, cause });
  }
  try {
    return text === undefined ? undefined : readDescriptor(text);
  } catch (thrown) {
    const { code, message, hint, cause } = toGoGridError(thrown);
    const info = { code, message: `${file} is no valid network descriptor: ${message}`, cause };
    throw new GoGridError(hint === undefined ? info : { ...info, hint });
  }
}

/* ---- what is shown of it ---- */

/** The mesh of a home in the words of the API (`contract/network.ts`). @param self this node's public key */
export function describeMesh(home: HomePaths, descriptor: NetworkDescriptor, self: Uint8Array | undefined) {
  const { founder } = descriptor.core;
  return {
    ...describeDescriptor(descriptor),
    isFounder: self !== undefined && founder.length > 0 && Buffer.compare(founder, self) === 0,
    file: isLocal(descriptor) ? null : home.networkFile,
  };
}

/** The mesh of a home whose node is stopped; changes nothing. @throws GoGridError as `findMesh`, `damaged` */
export async function showMesh(home: HomePaths, given: string | undefined) {
  const { descriptor, isNew } = await findMesh(home, given);
  const hasIdentity = (await readSmallFile(home.identityKey, HOME.maxKeyFileBytes)) !== undefined;
  const self = hasIdentity ? signerFromSeed((await loadIdentity(home)).value).publicKey : undefined;
  const shown = describeMesh(home, descriptor, self);
  return isNew && given !== undefined ? { ...shown, file: given } : shown;
}

/* ---- the founder's home ---- */

export interface MeshPlan {
  readonly name: string;
  readonly genesisMicrocredits: bigint;
  readonly terms: TermsChanges;
  /** PeerIds of those who attest its ledger; the founder does where there are none. */
  readonly witnesses?: readonly NodeId[];
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/**
 * Makes a mesh, and the identity of its founder, in an empty home.
 * @throws GoGridError `usage` when the home is not empty, `invalid_descriptor`, `home_unusable`
 */
export async function createMesh(home: HomePaths, plan: MeshPlan) {
  const { name, genesisMicrocredits, createdAt } = plan;
  const terms = { ...plan.terms, ...(plan.witnesses !== undefined && { witnesses: plan.witnesses.map(witnessKey) }) };
  const make = (seed: Uint8Array) =>
    createDescriptor({ name, genesisMicrocredits, createdAt }, terms, signerFromSeed(seed));
  await expectEmpty(home);
  // What is wrong with the plan is said before anything lies in the home.
  expectBuilt(make(new Uint8Array(32).fill(1)));
  await makeFolder(home.folder).catch((thrown: unknown) => {
    throw unusable(home.folder, thrown);
  });
  const identity = await loadIdentity(home);
  if (!identity.created) throw notEmpty(home, ['identity.key']);
  const descriptor = make(identity.value);
  await saveDescriptor(home, descriptor);
  await markUnused(home, createdAt);
  return describeMesh(home, descriptor, descriptor.core.founder);
}

function witnessKey(node: NodeId): Uint8Array {
  if (isNodeId(node)) return publicKeyOf(node);
  throw new GoGridError({
    code: 'invalid_descriptor',
    message: `witnesses: '${node.slice(0, 80)}' is not the PeerId of a node`,
    hint: '`gogrid status` on that machine shows it',
  });
}

async function expectEmpty(home: HomePaths): Promise<void> {
  try {
    const found = await readdir(home.folder);
    if (found.length > 0) throw notEmpty(home, found.sort());
  } catch (thrown) {
    if (thrown instanceof GoGridError) throw thrown;
    if (systemCode(thrown) !== 'ENOENT') throw unusable(home.folder, thrown);
  }
}

const SHOWN_FILES = 5;

function notEmpty(home: HomePaths, found: readonly string[]): GoGridError {
  const more = found.length > SHOWN_FILES ? ` and ${found.length - SHOWN_FILES} more` : '';
  return new GoGridError({
    code: 'usage',
    message: `a new mesh needs an empty home; in ${home.folder} there is ${found.slice(0, SHOWN_FILES).join(', ')}${more}`,
    hint: 'choose a folder that is empty or does not exist with --home DIR',
  });
}

/**
 * Reissues the descriptor of a home whose node is stopped.
 * @throws GoGridError `home_in_use` when it is not, `not_founder`, `not_built`, `invalid_descriptor`, `home_unusable`
 */
export async function reissueMesh(home: HomePaths, given: string | undefined, changes: TermsChanges) {
  const { descriptor } = await findMesh(home, given);
  if (isLocal(descriptor)) throw notFounder(descriptor);
  await prepareHome(home);
  // A node that is just starting has no mark yet, and holds the database all the same.
  const database = await openDatabase(home.dataFolder);
  try {
    const identity = await loadIdentity(home);
    const next = reissue(descriptor, changes, signerFromSeed(identity.value));
    expectBuilt(next);
    await saveDescriptor(home, next);
    return describeMesh(home, next, next.core.founder);
  } finally {
    await database.close();
  }
}
