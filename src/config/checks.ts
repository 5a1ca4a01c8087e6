/** Checks of texts that a type alone does not decide. Each ends the sentence `'<value>' …`, or finds nothing wrong. */

import { isIP } from 'node:net';

const BOOTSTRAP =
  /^\/(ip4|ip6|dns|dns4|dns6|dnsaddr)\/[^/]+(\/[a-z0-9-]+(\/[^/]+)?)*\/p2p\/[1-9A-HJ-NP-Za-km-z]{40,60}$/;
const HOST_NAME = /^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?$/;

/** An address that stays on this machine: 127.0.0.0/8, ::1 or `localhost`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

export function ipAddress(value: string): string | undefined {
  return isIP(value) === 0 ? 'is not an IP address' : undefined;
}

export function ipAddressOrLocalhost(value: string): string | undefined {
  return value === 'localhost' ? undefined : ipAddress(value);
}

/** A multiaddr that ends in the peer's id, so that a connection to another machine fails (docs/protocol.md). */
export function peerAddress(value: string): string | undefined {
  if (!value.startsWith('/')) return 'is not a multiaddr';
  if (!value.includes('/p2p/')) return 'does not end in /p2p/ and the id of the peer';
  return BOOTSTRAP.test(value) ? undefined : 'is not a multiaddr that ends in /p2p/ and the id of the peer';
}

/** http or https, without a password in it: settings are shown in lists and in logs. */
export function httpUrl(value: string): string | undefined {
  if (!URL.canParse(value)) return 'is not a URL';
  const url = new URL(value);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'is not an http or https URL';
  if (url.username !== '' || url.password !== '') return 'has a name or a password in it';
  return url.search === '' && url.hash === '' ? undefined : 'has a query or a fragment in it';
}

/** As a browser sends it: scheme and host, no path. */
export function origin(value: string): string | undefined {
  if (!URL.canParse(value)) return 'is not an origin such as https://example.org';
  const url = new URL(value);
  const shown = `${url.protocol}//${url.host}`;
  return value === shown ? undefined : `is not an origin; write ${shown}`;
}

export function hostName(value: string): string | undefined {
  return isIP(value) !== 0 || HOST_NAME.test(value) ? undefined : 'is not a host name or an IP address without a port';
}

/** Names and regions are shown in other people's terminals: nothing in them may move a cursor. */
export function printable(value: string): string | undefined {
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value) ? 'has a character in it that cannot be printed' : undefined;
}
