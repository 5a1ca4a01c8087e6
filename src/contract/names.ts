/** Names that machines give themselves: anybody may take any, and what people read as one name is one. */

/** A name as eyes compare it: without case, width, accents, spaces, signs and what is not seen. */
export function foldedName(name: string): string {
  return name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\p{M}\p{Z}\p{C}\p{P}\p{S}]/gu, '');
}

/** Whether people would read two names as one. Names of nothing but signs count as one, as does none. */
export function isSameName(one: string, other: string): boolean {
  return foldedName(one) === foldedName(other);
}
