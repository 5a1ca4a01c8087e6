/**
 * Where a text stops being JSON. `JSON.parse` names the position in some of its messages and quotes the text in others; a
 * client that debugs its body needs the position always. Runs only on what did not parse.
 */

const SPACE = /[ \t\n\r]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const SCALAR = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;

type Step = 'value' | 'first-item' | 'first-key' | 'key' | 'colon' | 'after-value';

/** The offset (UTF-16 code units) of the first thing that cannot stand there, or undefined when `text` is JSON. */
export function jsonErrorPosition(text: string): number | undefined {
  const open: ('{' | '[')[] = [];
  let step: Step = 'value';
  let at = skip(SPACE, text, 0);
  while (!(step === 'after-value' && open.length === 0)) {
    const next = takeOne(text, at, step, open);
    // Inside a string the fault lies behind its beginning.
    if (next === undefined)
      return text[at] === '"' && step !== 'colon' && step !== 'after-value' ? -endOfString(text, at) : at;
    at = skip(SPACE, text, next.at);
    step = next.step;
  }
  return at === text.length ? undefined : at;
}

/** Reads one token; undefined when what stands there may not. */
function takeOne(text: string, at: number, step: Step, open: ('{' | '[')[]): { at: number; step: Step } | undefined {
  const char = text[at];
  switch (step) {
    case 'colon':
      return char === ':' ? { at: at + 1, step: 'value' } : undefined;
    case 'first-key':
      if (char === '}') return close(at, open);
      return takeKey(text, at);
    case 'key':
      return takeKey(text, at);
    case 'first-item':
      if (char === ']') return close(at, open);
      return takeValue(text, at, open);
    case 'value':
      return takeValue(text, at, open);
    case 'after-value': {
      const inside = open.at(-1);
      if (char === ',') return { at: at + 1, step: inside === '{' ? 'key' : 'value' };
      return char === (inside === '{' ? '}' : ']') ? close(at, open) : undefined;
    }
  }
}

function takeKey(text: string, at: number): { at: number; step: Step } | undefined {
  const end = text[at] === '"' ? endOfString(text, at) : -at;
  return end > 0 ? { at: end, step: 'colon' } : undefined;
}

function takeValue(text: string, at: number, open: ('{' | '[')[]): { at: number; step: Step } | undefined {
  const char = text[at];
  if (char === '{' || char === '[') {
    open.push(char);
    return { at: at + 1, step: char === '{' ? 'first-key' : 'first-item' };
  }
  const end = char === '"' ? endOfString(text, at) : skip(SCALAR, text, at);
  return end > at ? { at: end, step: 'after-value' } : undefined;
}

function close(at: number, open: ('{' | '[')[]): { at: number; step: Step } {
  open.pop();
  return { at: at + 1, step: 'after-value' };
}

/**
 * The offset behind the string that begins at `at`; negative, the offset of the fault in it. By hand and not by one
 * expression, whose stack a string of some megabytes (an image) would overflow.
 */
function endOfString(text: string, at: number): number {
  let next = at + 1;
  while (next < text.length) {
    const code = text.charCodeAt(next);
    if (code === 0x22) return next + 1;
    if (code < 0x20) return -next;
    const end = code === 0x5c ? skip(ESCAPE, text, next) : next + 1;
    if (end === next) return -next;
    next = end;
  }
  return -text.length;
}

/** The end of what `pattern` matches exactly at `at`, or `at`. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
