/**
 * Model names as Ollama writes them. Canonical is lower case with a tag (`llama3` is `llama3:latest`); every comparison,
 * key and announcement uses it. `name@sha256:<64 hex>` pins one digest.
 */

import { GoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';

const NAME = /^[a-z0-9][a-z0-9._\-/]*(:[0-9]+\/[a-z0-9._\-/]+)?(:[a-z0-9][a-z0-9._-]*)?$/;
const DIGEST = /^[0-9a-f]{64}$/;

export interface ModelRef {
  /** Canonical: lower case, with a tag. */
  readonly name: string;
  /** SHA-256 of the model as 64 lower-case hex characters, when the request pins one. */
  readonly digest: string | undefined;
}

/**
 * Reads the model a request names.
 * @throws GoGridError `invalid_request` when it is empty, too long or has characters no model name has
 */
export function parseModelRef(text: string): ModelRef {
  const at = text.indexOf('@');
  const name = canonicalModelName(at < 0 ? text : text.slice(0, at));
  if (name === undefined) throw badName(text);
  if (at < 0) return { name, digest: undefined };
  const digest = text
    .slice(at + 1)
    .toLowerCase()
    .replace(/^sha256[:-]/, '');
  if (!DIGEST.test(digest)) throw badName(text);
  return { name, digest };
}

/** The canonical form of `text`, or undefined when it cannot be a model's name. */
export function canonicalModelName(text: string): string | undefined {
  const lower = text.trim().toLowerCase();
  if (lower.length === 0 || lower.length > MESH.maxModelNameChars || !NAME.test(lower)) return undefined;
  const tagged = lower.lastIndexOf(':') > lower.lastIndexOf('/');
  return tagged ? lower : `${lower}:latest`;
}

function badName(text: string): GoGridError {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return new GoGridError({
    code: 'invalid_request',
    message: `model: '${shown}' is not a model name`,
    hint: 'use a name such as llama3.2, llama3.2:3b, or name@sha256:<64 hex characters> to pin a digest',
  });
}
