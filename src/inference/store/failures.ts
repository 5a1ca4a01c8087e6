/** Why a place did not give a model, in words for the person who waits for it. */

import path from 'node:path';
import { GoGridError, reasonOf, systemCode } from '../../errors.ts';
import type { CatalogueEntry } from './catalogue.ts';

/** A place that did not give what was asked of it; the next one is tried. */
export class SourceFailed extends Error {
  constructor(reason: string, cause?: unknown) {
    super(reason, cause === undefined ? undefined : { cause });
    this.name = 'SourceFailed';
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known here; is this machine offline?',
  EAI_AGAIN: 'no name server answers; is this machine offline?',
  ECONNREFUSED: 'it refuses the connection',
  ECONNRESET: 'it cut the connection',
  EPIPE: 'it cut the connection',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'no way leads there; is this machine offline?',
  ENETUNREACH: 'no way leads there; is this machine offline?',
  ENETDOWN: 'the network is down',
  EPROTO: 'it does not speak TLS',
  ERR_PROXY_TUNNEL: 'the proxy does not let this machine through to it',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not trusted here',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not trusted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not trusted here',
  EACCES: 'this user may not read or write there',
  EPERM: 'this user may not read or write there',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
};

/** One clause, without a full stop. */
export function reasonText(thrown: unknown): string {
  if (thrown instanceof SourceFailed || thrown instanceof GoGridError) return thrown.message;
  const code = systemCode(thrown);
  if (code !== undefined) return `${REASONS[code] ?? 'it failed'} (${code})`;
  return thrown instanceof Error ? thrown.message : String(thrown);
}

export function isDiskFull(thrown: unknown): boolean {
  const code = systemCode(thrown);
  return code === 'ENOSPC' || code === 'EDQUOT' || (thrown instanceof GoGridError && thrown.code === 'disk_full');
}

/** The error for a file that is not the one that was asked for. */
export function wrongDigest(entry: CatalogueEntry, found: string): SourceFailed {
  return new SourceFailed(`${entry.file} has another SHA-256: expected ${entry.sha256}, found ${found}`);
}

const MEGABYTE = 1e6;

export function diskFull(folder: string, neededBytes: number, freeBytes: number | undefined): GoGridError {
  const free = freeBytes === undefined ? '' : `, ${Math.floor(freeBytes / MEGABYTE)} MB are free`;
  return new GoGridError({
    code: 'disk_full',
    message: `the disk with ${folder} is too full: ${Math.ceil(neededBytes / MEGABYTE)} MB are needed${free}`,
    hint: 'free some space, or choose another place with engine.models_dir, or XDG_CACHE_HOME for the first model',
    data: { folder, neededBytes },
  });
}

/** What stopped a place. */
export interface Tried {
  readonly source: string;
  readonly thrown: unknown;
}

/** The error when no place gave the model; `modelsFolder` is where its user may put the file. */
export function notFetched(entry: CatalogueEntry, tried: readonly Tried[], modelsFolder: string): GoGridError {
  const list = tried.map(({ source, thrown }) => `${source}: ${reasonText(thrown)}`).join('; ');
  const last = tried.at(-1)?.thrown;
  return new GoGridError({
    code: tried.some(({ thrown }) => isDiskFull(thrown)) ? 'disk_full' : 'download_failed',
    message: `${entry.name} could not be fetched. ${list}`,
    hint:
      `when the network is there, pull it again (what is there already is kept); ` +
      `or bring the file here by hand, as ${path.join(modelsFolder, entry.file)}`,
    data: { model: entry.name, file: entry.file, sha256: entry.sha256 },
    cause: last,
  });
}

/** The error for a removal while a fetch is under way. */
export function isBeingFetched(entry: CatalogueEntry): GoGridError {
  return new GoGridError({
    code: 'invalid_request',
    message: `model: '${entry.name}' is being pulled right now, by another process`,
    hint: 'wait for its end, or cancel it there, then remove it',
  });
}

/** Why a pull was stopped. */
export function cancelled(signal: AbortSignal): GoGridError {
  return reasonOf(signal, 'the pull');
}
