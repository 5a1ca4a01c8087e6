/** Finds one thing of a list by what a person types of its id. */

import { type ErrorCode, GoGridError } from '../errors.ts';
import { usage } from './arguments.ts';
import { shortId } from './text.ts';

export interface Named {
  readonly id: string;
  readonly name?: string;
}

/**
 * The one item whose id is `text`, begins or ends with it, or whose name it is.
 * @param kind what it is, for the error: `peer`
 * @throws GoGridError `code` when there is none, `usage` when there are several
 */
export function findOne<T>(
  items: readonly T[],
  text: string,
  named: (item: T) => Named,
  kind: string,
  code: ErrorCode,
): T {
  const exact = items.find((item) => named(item).id === text);
  if (exact !== undefined) return exact;
  const ends = endsOf(text);
  const found = items.filter((item) => {
    const { id, name } = named(item);
    if (ends !== undefined) return hasEnds(id, ends);
    // Every id begins with nothing.
    return text !== '' && (name === text || id.startsWith(text) || id.endsWith(text));
  });
  return onlyOne(found, text, named, kind, code);
}

/**
 * As `findOne`, where a mistake cannot be made good: a whole id, a whole name, or an id's two ends as tables show them. A part
 * of an id is nobody: ids are drawn until they end as somebody's name does.
 * @throws GoGridError `peer_not_found`, `usage`
 */
export function findExactly<T>(items: readonly T[], text: string, named: (item: T) => Named): T {
  if (text === '') throw usage('the machine has no name: it is empty');
  const ends = endsOf(text);
  const found = items.filter((item) => {
    const { id, name } = named(item);
    if (id === text) return true;
    return ends === undefined ? name === text : text.length >= shortId(id).length && hasEnds(id, ends);
  });
  if (found.length === 0) {
    throw new GoGridError({
      code: 'peer_not_found',
      message: `there is no peer '${text}'`,
      hint: 'write its whole name or its whole id; `gogrid peers` lists them',
    });
  }
  return onlyOne(found, text, named, 'peer', 'peer_not_found');
}

/** A shortened id from a table is as good as its two ends. */
function endsOf(text: string): readonly [string, string] | undefined {
  const [start = '', end = '', ...more] = text.split('…');
  return start !== '' && end !== '' && more.length === 0 ? [start, end] : undefined;
}

function hasEnds(id: string, [start, end]: readonly [string, string]): boolean {
  return id.startsWith(start) && id.endsWith(end);
}

function onlyOne<T>(found: readonly T[], text: string, named: (item: T) => Named, kind: string, code: ErrorCode): T {
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (found.length > 1) {
    throw new GoGridError({
      code: 'usage',
      message: `'${text}' is ${found.length} ${kind}s`,
      hint: `write more of the id: ${found
        .slice(0, 5)
        .map((item) => named(item).id)
        .join(', ')}`,
    });
  }
  const list = kind === 'friend' ? 'peers' : `${kind}s`;
  throw new GoGridError({ code, message: `there is no ${kind} '${text}'`, hint: `\`gogrid ${list}\` lists them` });
}
