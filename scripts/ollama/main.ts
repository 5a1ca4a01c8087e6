/**
 * Makes sure that the Ollama daemon which the tests run against lies in the user's cache folder, and prints where.
 * The first time it is built, which takes minutes; later there is nothing to do. Exit code 1: there is none, and a sentence
 * says why. The starter model is fetched too; without it some tests are skipped. With `--check` nothing is built or fetched.
 */

import { setPriority } from 'node:os';
import { toGoGridError } from '../../src/errors.ts';
import { CannotBuild, ensureOllama, isBuilt } from './build.ts';
import { OLLAMA_VERSION, ollamaProgram } from './recipe.ts';
import { fetchStarter } from './starter.ts';

const LOWEST_PRIORITY = 19;

const program = ollamaProgram(process.env);
const say = (line: string) => void process.stderr.write(`ollama: ${line}\n`);

async function make(): Promise<void> {
  // The compiler inherits it: whatever else this machine does goes first.
  setPriority(LOWEST_PRIORITY);
  await ensureOllama({ program, say });
  await fetchStarter(process.env, say).catch((thrown: unknown) => {
    say(`${toGoGridError(thrown).message}: tests with it will be skipped`);
  });
}

async function check(): Promise<void> {
  if (!(await isBuilt(program))) throw new CannotBuild('there is none in the cache; `npm run test:ollama` builds one');
}

try {
  await (process.argv.includes('--check') ? check() : make());
  process.stdout.write(`${program}\n`);
} catch (error) {
  if (!(error instanceof CannotBuild)) throw error;
  say(error.message);
  say(`an Ollama ${OLLAMA_VERSION} from elsewhere does as well: put the binary at ${program}`);
  process.exitCode = 1;
}
