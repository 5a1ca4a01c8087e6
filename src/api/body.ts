/** From the bytes of a body to a checked value; every fault is told with its field, what came, and what should have come. */

import type { IncomingMessage } from 'node:http';
import type { core, ZodType } from 'zod';
import { GoGridError } from '../errors.ts';
import { API } from '../limits/api.ts';
import { jsonErrorPosition } from './json-position.ts';

/**
 * Reads a request's body as JSON, whatever its content type says, as Ollama does: a plain `curl -d` names a form.
 * @returns undefined for an empty body
 * @throws GoGridError `invalid_request`, `unsupported`, `payload_too_large`, `cancelled`
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const { 'content-encoding': encoding = 'identity', 'content-length': length } = request.headers;
  if (encoding !== 'identity') {
    throw new GoGridError({
      code: 'unsupported',
      message: 'content-encoding: compressed bodies are not read',
      hint: 'send the body as it is, without Content-Encoding',
    });
  }
  if (Number(length) > API.maxBodyBytes) throw tooLarge();
  const text = await readText(request);
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw notJson(text);
  }
}

/** Fastify could do it, at the price of an asynchronous resource, a parser table and a media type for every request. */
function readText(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    const settle = (error: GoGridError | undefined) => {
      request.off('data', onData).off('end', onEnd).off('close', onClose);
      if (error !== undefined) reject(error);
      else resolve(decode(parts, bytes));
    };
    const onData = (part: Buffer) => {
      parts.push(part);
      bytes += part.length;
      if (bytes > API.maxBodyBytes) settle(tooLarge());
    };
    const onEnd = () => settle(undefined);
    const onClose = () => settle(new GoGridError({ code: 'cancelled', message: 'the client hung up' }));
    request.on('data', onData).on('end', onEnd).on('close', onClose);
  });
}

function decode(parts: readonly Buffer[], bytes: number): string {
  const [only] = parts;
  return (parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, bytes)).toString('utf8');
}

function tooLarge(): GoGridError {
  return new GoGridError({
    code: 'payload_too_large',
    message: `body: it is larger than ${API.maxBodyBytes} bytes (${API.maxBodyBytes / 1024 ** 2} MiB)`,
    hint: 'send smaller images, or fewer messages',
  });
}

function notJson(text: string): GoGridError {
  const at = jsonErrorPosition(text) ?? text.length;
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  const column = at - before.lastIndexOf('\n');
  const what = at === text.length ? 'it ends too early' : 'it breaks';
  return new GoGridError({
    code: 'invalid_request',
    message: `body: not JSON: ${what} at position ${at} (line ${line}, column ${column})`,
    hint: 'send one JSON object in UTF-8',
  });
}

/**
 * Checks a body against a schema. Schemas read leniently: unknown fields are dropped, null counts as absent. Those that are
 * strict refuse what they do not know, where a field that is mistyped would change what is done.
 * @throws GoGridError `invalid_request` naming the first wrong field
 */
export function readBody<T>(schema: ZodType<T>, body: unknown): T {
  if (body === undefined) {
    throw new GoGridError({ code: 'invalid_request', message: 'body: it is empty', hint: 'send a JSON object' });
  }
  checkShape(body);
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw issue === undefined ? fieldError('body', 'it is not what this path takes') : issueError(issue, body);
}

/** A wrong field. `field` is its path, such as `messages[0].content`. */
export function fieldError(field: string, problem: string, hint?: string): GoGridError {
  return new GoGridError({
    code: 'invalid_request',
    message: `${field}: ${problem}`,
    ...(hint !== undefined && { hint }),
    data: { field },
  });
}

/** A field that asks for something this node does not do. */
export function unsupportedField(field: string, problem: string, hint: string): GoGridError {
  return new GoGridError({ code: 'unsupported', message: `${field}: ${problem}`, hint, data: { field } });
}

/**
 * Everything behind this recurses, and travels to other nodes: depth is bounded, `1e999` is not a number, and the one name
 * that copies of an object lose, or take for its prototype, is refused.
 */
function checkShape(body: unknown): void {
  let level = isContainer(body) ? [body] : [];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > API.maxBodyDepth) {
      throw fieldError('body', `lists and objects nest more than ${API.maxBodyDepth} deep`, 'flatten it');
    }
    const next: object[] = [];
    for (const container of level) {
      if (Object.hasOwn(container, '__proto__')) throw fieldError('body', 'no field may be called __proto__');
      for (const value of Array.isArray(container) ? container : Object.values(container)) {
        if (isContainer(value)) next.push(value);
        else if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
          throw fieldError('body', 'it holds a number too large to read', 'send numbers below 1e308');
        }
      }
    }
    level = next;
  }
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

const NOUNS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
  undefined: 'nothing',
};

function issueError(issue: core.$ZodIssue, body: unknown): GoGridError {
  if (issue.code === 'invalid_union') {
    const inner = deepest(issue);
    if (inner !== undefined) return issueError({ ...inner, path: [...issue.path, ...inner.path] }, body);
  }
  if (issue.code === 'unrecognized_keys') return unknownField(issue);
  const field = pathText(issue.path);
  const expected = expectation(issue);
  const value = valueAt(body, issue.path);
  if (expected === undefined) return fieldError(field, issue.message);
  const got =
    typeof value === 'string' && (issue.code === 'invalid_value' || wasNumber(issue))
      ? JSON.stringify(value.slice(0, 40))
      : describe(value);
  return fieldError(field, `expected ${expected}, got ${got}`, `send ${field} as ${expected}`);
}

function unknownField({ path, keys: [key = ''] }: core.$ZodIssueUnrecognizedKeys): GoGridError {
  return fieldError(
    pathText([...path, key]),
    'there is no such field here',
    'GET /openapi.json lists the fields there are',
  );
}

/** Of the branches of a union the one that got furthest is the one that was meant; none when all failed at once. */
function deepest(union: core.$ZodIssueInvalidUnion): core.$ZodIssue | undefined {
  const first = union.errors.map((issues) => issues[0]).filter((issue) => issue !== undefined);
  return first
    .filter((issue) => issue.path.length > 0 || (issue.code !== 'invalid_type' && issue.code !== 'invalid_value'))
    .toSorted((a, b) => b.path.length - a.path.length)[0];
}

/** What should have been there, in words; undefined when the issue's own message says it best. */
function expectation(issue: core.$ZodIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return NOUNS[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return `${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'invalid_union': {
      const options = issue.errors.flatMap((issues) => issues.slice(0, 1).map(expectation));
      return [...new Set(options.filter((text) => text !== undefined && text !== 'nothing' && text !== 'null'))].join(
        ' or ',
      );
    }
    case 'too_small':
      return `${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}${unitOf(issue.origin)}`;
    default:
      return undefined;
  }
}

/** A number of a query, which comes as text and was turned into one: no text of a prompt gets here. */
function wasNumber(issue: core.$ZodIssue): boolean {
  if (issue.code === 'invalid_type') return 'received' in issue && issue.received === 'NaN';
  return (issue.code === 'too_small' || issue.code === 'too_big') && /^(number|int)$/.test(issue.origin);
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' ? ' items' : '';
}

function pathText(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'body';
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    const name = String(key).slice(0, 64);
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  let value = body;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** The kind of a value, and the value itself where it is short and cannot be text of a prompt. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'string') return value === '' ? 'an empty string' : 'a string';
  if (typeof value === 'number' || typeof value === 'boolean') return `the ${typeof value} ${value}`;
  return 'an object';
}
