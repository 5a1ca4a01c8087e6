/**
 * Which `Host` a request may name. A web page whose own name was made to resolve to this machine (DNS rebinding) sends that
 * name here, so only names that nobody on the internet can own are answered, and addresses, which need no resolving.
 */

import { isIP } from 'node:net';

export interface HostRules {
  /** The machine's own name, as the operating system has it. */
  readonly hostname: string;
  /** Names the operator added, without a port. */
  readonly allowedHosts: readonly string[];
}

/** Top-level names that public DNS does not give away: this machine, the local network, a company's own network. */
const PRIVATE_SUFFIXES = ['.localhost', '.local', '.internal'];
const NAME = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;
const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(:[0-9]{1,5})?$/;

/** Makes the check of one node. The check's second argument is the address on which the request came in. */
export function hostCheck(rules: HostRules): (host: string | undefined, localAddress: string | undefined) => boolean {
  const own = rules.hostname.toLowerCase();
  const names = new Set(['localhost', own, own.split('.')[0], ...rules.allowedHosts.map((host) => host.toLowerCase())]);
  const check = (host: string | undefined, localAddress: string | undefined) => {
    const name = hostNameOf(host);
    if (name === undefined) return false;
    if (names.has(name)) return true;
    if (isIP(name) !== 0) return isLoopback(name) || name === plainAddress(localAddress);
    return NAME.test(name) && PRIVATE_SUFFIXES.some((suffix) => name.endsWith(suffix));
  };
  // Nearly every request names the host that the one before it named.
  let passed: { readonly host: string | undefined; readonly localAddress: string | undefined } | undefined;
  return (host, localAddress) => {
    if (passed !== undefined && host === passed.host && localAddress === passed.localAddress) return true;
    const allowed = check(host, localAddress);
    if (allowed) passed = { host, localAddress };
    return allowed;
  };
}

/** The name or address in a `Host` header: lower case, without port, brackets and the root's dot. */
export function hostNameOf(host: string | undefined): string | undefined {
  if (host === undefined || host.length > 260) return undefined;
  const name = HOST.exec(host.toLowerCase())?.[1];
  if (name === undefined) return undefined;
  if (name.startsWith('[')) return name.slice(1, -1);
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

/** Whether `address` reaches this machine alone; `0.0.0.0` does, and clients of Ollama write it. */
export function isLoopback(address: string): boolean {
  if (address === '::1' || address === '0.0.0.0') return true;
  return isIP(address) === 4 && address.startsWith('127.');
}

/** A socket that serves both families names IPv4 addresses as `::ffff:192.0.2.1`. */
function plainAddress(address: string | undefined): string | undefined {
  return address?.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}
