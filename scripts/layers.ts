/**
 * The rules for who may import whom in `src/`, and the check of them. Pure: sources come in, sentences come out, so that
 * the check itself is tested (`src/layers.test.ts`, which also runs it over the real sources).
 *
 * It reads source text and not compiled output, because `import type` is gone after compilation and must point downward too.
 */
import { isBuiltin } from 'node:module';
import path from 'node:path';

const BASE = ['errors', 'limits', 'clock', 'telemetry', 'config'];
const DOMAIN_PARTS = ['resources', 'capabilities', 'ledger'];
const BELOW_ADAPTERS = ['jobs', ...DOMAIN_PARTS, 'protocol', ...BASE];

/** The parts that speak to the outside; each implements interfaces of the domain, and none knows another. */
export const adapters = ['api', 'network', 'inference', 'storage', 'machine'] as const;

/** The parts that do no I/O: time, randomness, disk and network come in as arguments. */
export const domainFolders = ['jobs', ...DOMAIN_PARTS, 'protocol', 'doctor'] as const;

/**
 * What each part of `src/` may import besides itself. A part is a folder, or a file directly in `src/` without its ending.
 * A part that is not listed here fails the check, so a new folder gets its place on purpose.
 */
export const allowedImports: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  limits: [],
  version: [],
  clock: [],
  telemetry: ['errors', 'limits', 'clock'],
  config: ['errors', 'limits'],
  contract: ['errors', 'limits'],
  doctor: ['contract', ...BASE],
  protocol: BASE,
  resources: ['protocol', ...BASE],
  capabilities: ['protocol', ...BASE],
  ledger: ['protocol', ...BASE],
  jobs: [...DOMAIN_PARTS, 'protocol', ...BASE],
  api: ['contract', 'doctor', 'version', ...BELOW_ADAPTERS],
  network: BELOW_ADAPTERS,
  inference: BELOW_ADAPTERS,
  storage: BELOW_ADAPTERS,
  machine: ['contract', 'doctor', ...BELOW_ADAPTERS],
  node: [...adapters, 'contract', 'doctor', 'version', ...BELOW_ADAPTERS],
  cli: ['contract', 'doctor', 'version', ...BASE],
  // The home folder and processes are looked at before there is a node: commands that need none do so too.
  main: ['cli', 'doctor', 'node', 'sandbox', 'machine', 'storage', 'version', ...BASE],
  sandbox: ['cli', ...BASE],
  launcher: ['main'],
  testing: [...adapters, 'node', 'cli', 'contract', 'doctor', 'version', ...BELOW_ADAPTERS],
};

/** Node modules without I/O, clock or randomness, which domain code may use. */
const PURE_BUILTINS = ['node:assert', 'node:buffer', 'node:events', 'node:util'];

/** Packages that exist to do I/O. The domain declares an interface instead, and an adapter fulfils it. */
const IO_PACKAGES = ['classic-level', 'fastify', 'level', 'libp2p', 'node-llama-cpp', 'ollama', 'pino'];

/** Ways to reach the clock, the dice or the process without an import. */
const AMBIENT_INPUT =
  /\b(?:Date\.now\(|new Date\(\)|performance\.now\(|Math\.random\(|process\.|set(?:Timeout|Interval|Immediate)\(|fetch\(|crypto\.(?:getRandomValues|randomUUID)\(|systemClock\b)/g;

/** The files to check: their text by path from the repository root (`src/jobs/states.ts`), and what version control lists. */
export interface Sources {
  readonly texts: ReadonlyMap<string, string>;
  readonly listed: readonly string[];
}

/** Every breach of the rules as one sentence; empty when the sources keep them all. */
export function findBreaches({ texts, listed }: Sources): string[] {
  const breaches: string[] = [];
  if (listed.length === 0)
    breaches.push('Version control lists no file under src: the check would pass without reading.');
  for (const file of listed) {
    if (!texts.has(file)) breaches.push(`${file} is listed by version control and was not read.`);
  }
  const graph = new Map<string, string[]>();
  for (const [file, text] of texts) {
    // A test stands outside the layers: it may use any real part instead of a stand-in, and nothing imports it.
    if (isTest(file)) continue;
    const found = readImports(text);
    breaches.push(...found.unreadable.map((line) => `${file} has an import that names no fixed file: ${line}`));
    const targets: string[] = [];
    for (const specifier of found.specifiers) {
      if (specifier.startsWith('.')) {
        const target = path.posix.join(path.posix.dirname(file), specifier);
        const breach = checkOwnImport(file, target, texts);
        if (breach === undefined) targets.push(target);
        else breaches.push(breach);
      } else {
        const breach = checkPackageImport(file, specifier);
        if (breach !== undefined) breaches.push(breach);
      }
    }
    graph.set(file, targets);
    breaches.push(...checkAmbientInput(file, text));
  }
  return [...breaches, ...findCircles(graph)];
}

/** The part of `src/` that a file belongs to: `src/jobs/x.ts` is in `jobs`, `src/node.ts` is `node`. */
export function partOf(file: string): string {
  const [, first = ''] = file.split('/');
  return first.replace(/\.ts$/, '');
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts');
}

function isDomain(part: string): boolean {
  return (domainFolders as readonly string[]).includes(part);
}

function checkOwnImport(file: string, target: string, texts: ReadonlyMap<string, string>): string | undefined {
  if (!target.startsWith('src/')) return `${file} imports ${target}, which lies outside src.`;
  if (!texts.has(target))
    return `${file} imports ${target}, which does not exist; our imports name the file with its ending.`;
  if (isTest(target)) return `${file} imports the test ${target}.`;
  const from = partOf(file);
  const to = partOf(target);
  const allowed = allowedImports[from];
  if (allowed === undefined) return `${file} lies in "${from}", which has no place in the table of scripts/layers.ts.`;
  if (from === to || allowed.includes(to)) return undefined;
  if (to === 'testing') return `${file} imports ${target}: only tests may import testing.`;
  return `${file} imports ${target}: "${from}" may not import "${to}".`;
}

function checkPackageImport(file: string, specifier: string): string | undefined {
  const part = partOf(file);
  if (!isDomain(part)) return undefined;
  if (isBuiltin(specifier)) {
    const name = specifier.startsWith('node:') ? specifier : `node:${specifier}`;
    if (PURE_BUILTINS.includes(name)) return undefined;
    if (name === 'node:crypto' && part === 'protocol') return undefined;
    return `${file} imports ${specifier}: domain code does no I/O, it takes what it needs as an argument.`;
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (!IO_PACKAGES.includes(name)) return undefined;
  return `${file} imports ${specifier}: domain code does no I/O, it declares an interface that an adapter fulfils.`;
}

function checkAmbientInput(file: string, text: string): string[] {
  if (!isDomain(partOf(file))) return [];
  const uses = new Set(withoutComments(text).match(AMBIENT_INPUT) ?? []);
  return [...uses].map(
    (use) => `${file} uses ${use.replace(/[(.]$/, '')}: domain code takes time and randomness as arguments.`,
  );
}

/** Each circle among the files, once, as the way around it. */
function findCircles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (file: string): void => {
    const start = way.indexOf(file);
    if (start >= 0) {
      circles.push(`Imports go in a circle: ${[...way.slice(start), file].join(' → ')}`);
      return;
    }
    if (done.has(file)) return;
    way.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    way.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return circles;
}

/** What a file imports, by `import`, `import type`, `export … from`, `import()` and `typeof import()`. */
export interface Imports {
  readonly specifiers: readonly string[];
  /** Dynamic imports of something other than a literal string, which no reader of text can follow. */
  readonly unreadable: readonly string[];
}

/** The formatter puts every import and export at the start of a line, which is what makes this small reader enough. */
const STATIC_IMPORT =
  /^(?:import\s+(?:type\s+)?(?:[\w$*{][\w$*{},\s]*?\s*from\s*)?|export\s+(?:type\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^}]*\})\s*from\s*)['"]([^'"]+)['"]/gm;
const DYNAMIC_IMPORT = /(?<![.\w$])import\s*\(\s*(?:(['"`])([^'"`$]+)\1\s*[,)])?[^\n]*/g;

/** Reads the imports out of the text of one TypeScript file. */
export function readImports(text: string): Imports {
  const code = withoutComments(text);
  const specifiers = [...code.matchAll(STATIC_IMPORT)].map((match) => match[1] ?? '');
  const unreadable: string[] = [];
  for (const match of code.matchAll(DYNAMIC_IMPORT)) {
    if (match[2] === undefined) unreadable.push(match[0].trim());
    else specifiers.push(match[2]);
  }
  return { specifiers, unreadable };
}

/** Blanks comments out and leaves strings alone, so that a path in a string survives and an import in a comment does not. */
function withoutComments(text: string): string {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replace(token, (found) => (found.startsWith('/') ? ' ' : found));
}
