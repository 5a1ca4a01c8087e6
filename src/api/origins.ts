/** Which web pages may call, and what their browsers are told (the CORS protocol of the Fetch standard). */

import type { IncomingHttpHeaders } from 'node:http';
import { API } from '../limits/api.ts';

/** Ollama's own list: pages served by this machine at any port, and the schemes of desktop programs. */
const LOCAL_PAGE = /^https?:\/\/(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(:[0-9]{1,5})?$/;
const DESKTOP_SCHEMES = ['app://', 'file://', 'tauri://', 'vscode-webview://', 'vscode-file://'];

/** What browsers may send beyond the headers that the standard always lets through. */
const REQUEST_HEADERS = [
  'authorization',
  'content-type',
  'accept',
  'user-agent',
  'x-requested-with',
  'x-api-key',
  'anthropic-version',
  'anthropic-beta',
  'anthropic-dangerous-direct-browser-access',
  'openai-beta',
  'openai-organization',
  'openai-project',
  'x-gogrid-deadline-secs',
  'x-gogrid-privacy',
];
/** SDKs send a family of these that grows with every version. */
const SDK_HEADER = /^x-stainless-[a-z0-9-]{1,60}$/;

const EXPOSED_HEADERS = [
  'retry-after',
  'x-should-retry',
  'x-gogrid-job',
  'x-gogrid-provider',
  'x-gogrid-route',
  'x-gogrid-attempts',
  'x-gogrid-handovers',
  'x-gogrid-cost-microcredits',
  'x-gogrid-usage-estimated',
].join(', ');

/** Makes the check for the inference surface; `allowedOrigins` are exact, or hold one `*`. */
export function originCheck(allowedOrigins: readonly string[]): (origin: string) => boolean {
  const extra = allowedOrigins.map(matcher);
  return (origin) => {
    const lower = origin.toLowerCase();
    if (LOCAL_PAGE.test(lower)) return true;
    if (DESKTOP_SCHEMES.some((scheme) => lower.startsWith(scheme))) return true;
    return extra.some((matches) => matches(lower));
  };
}

function matcher(pattern: string): (origin: string) => boolean {
  const [before = '', after] = pattern.toLowerCase().split('*');
  if (after === undefined) return (origin) => origin === before;
  return (origin) =>
    origin.length >= before.length + after.length && origin.startsWith(before) && origin.endsWith(after);
}

/** Whether the page was served by this very address; `host` is the request's `Host`, which was checked before. */
export function isOwnPage(origin: string, host: string | undefined): boolean {
  return host !== undefined && origin.toLowerCase() === `http://${host.toLowerCase()}`;
}

/** Headers of an answer that a page of `origin` may read. */
export function sharingHeaders(origin: string): Record<string, string> {
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED_HEADERS,
    vary: 'Origin',
  };
}

/** Headers of the answer to a preflight from an allowed `origin`. */
export function preflightHeaders(origin: string, headers: IncomingHttpHeaders): Record<string, string> {
  const asked = String(headers['access-control-request-headers'] ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => SDK_HEADER.test(name));
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, HEAD, POST',
    'access-control-allow-headers': [...REQUEST_HEADERS, ...asked].join(', '),
    'access-control-max-age': String(API.preflightMaxAgeSecs),
    vary: 'Origin, Access-Control-Request-Headers',
  };
}
