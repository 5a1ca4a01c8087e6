/** Finds one thing of a list by what a person types of its id. */

import { type ErrorCode, GoGridError } from '../errors.ts';

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
  // A shortened id from a table is as good as its two ends.
  const [start = '', end = ''] = text.includes('…') ? text.split('…') : [];
  const found = items.filter((item) => {
    const { id, name } = named(item);
    if (start !== '' && end !== '') return id.startsWith(start) && id.endsWith(end);
    return name === text || id.startsWith(text) || id.endsWith(text);
  });
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
