/**
 * Who may call what. Everything is checked on the headers alone, before a byte of the body is read, and in one fixed order:
 * host, origin, key. What a route does not say of itself needs the key, and so does every path that does not exist.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GoGridError } from '../errors.ts';
import { type HostRules, hostCheck } from './hosts.ts';
import { isOwnPage, originCheck, sharingHeaders } from './origins.ts';

/**
 * `open`: anybody, no key ever. `inference`: the OpenAI and Ollama endpoints, without a key on loopback. `key`: the rest.
 */
export type Access = 'open' | 'inference' | 'key';

export interface GuardOptions extends HostRules {
  /** The node's admin key. */
  readonly key: string;
  /** Whether the inference surface needs the key too. */
  readonly requireKey: boolean;
  /** Web pages that may use the inference surface beside those of this machine. */
  readonly allowedOrigins: readonly string[];
}

/** Checks one request; sets the headers that let an allowed web page read the answer. */
export type Guard = (request: IncomingMessage, response: ServerResponse, access: Access) => void;

/** @returns a guard that throws GoGridError `forbidden_host`, `forbidden_origin` or `unauthorized` */
export function createGuard(options: GuardOptions): Guard {
  const isAllowedHost = hostCheck(options);
  const isAllowedOrigin = originCheck(options.allowedOrigins);
  const hasKey = createKeyCheck(options.key);

  return (request, response, access) => {
    const { headers, socket } = request;
    if (!isAllowedHost(headers.host, socket.localAddress)) throw forbiddenHost();
    const { origin } = headers;
    if (origin !== undefined) {
      const allowed = isOwnPage(origin, headers.host) || (access === 'inference' && isAllowedOrigin(origin));
      if (!allowed) throw forbiddenOrigin();
      for (const [name, value] of Object.entries(sharingHeaders(origin))) response.setHeader(name, value);
    }
    if (access === 'open') return;
    if (access === 'inference' && (!options.requireKey || isPreflight(request))) return;
    if (!hasKey(request)) throw unauthorized();
  };
}

/** Whether a request brings the node's admin key: for what the inference surface offers to nobody else. */
export function createKeyCheck(key: string): (request: IncomingMessage) => boolean {
  const isKey = keyCheck(key);
  return (request) => isKey(tokenOf(request));
}

/** A browser asks before it sends what a form could not; it never sends a key with that question. */
export function isPreflight(request: IncomingMessage): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.headers.origin !== undefined &&
    request.headers['access-control-request-method'] !== undefined
  );
}

/** Compares digests, so that neither the length of the key nor its beginning shows in the time it takes. */
function keyCheck(key: string): (token: string | undefined) => boolean {
  const expected = digest(key);
  return (token) => token !== undefined && token !== '' && timingSafeEqual(digest(token), expected);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function tokenOf(request: IncomingMessage): string | undefined {
  const { authorization, 'x-api-key': apiKey } = request.headers;
  const bearer = authorization === undefined ? undefined : /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  return bearer ?? (typeof apiKey === 'string' ? apiKey : undefined);
}

function forbiddenHost(): GoGridError {
  return new GoGridError({
    code: 'forbidden_host',
    message: 'this host name is not one of this node',
    hint: 'call 127.0.0.1 or localhost, or add the name to api.allowed_hosts',
  });
}

function forbiddenOrigin(): GoGridError {
  return new GoGridError({
    code: 'forbidden_origin',
    message: 'web pages of this origin may not call this node here',
    hint: 'add the origin to api.allowed_origins, which opens the OpenAI and Ollama endpoints to it',
  });
}

/** One text for a wrong key and for a path that does not exist, so that nobody without the key can tell them apart. */
function unauthorized(): GoGridError {
  return new GoGridError({
    code: 'unauthorized',
    message: 'no such path, or it needs a key',
    hint: "send `Authorization: Bearer <key>`; the key is the one line of api.key, which lies beside the file that `gogrid config path` names for the node's --home",
  });
}
