/** Once per run, beside the setup of all end-to-end tests: finds the Ollama binary, and says how to get one. */

import type { TestProject } from 'vitest/node';
import { isBuilt } from '../../../scripts/ollama/build.ts';
import { ollamaProgram } from '../../../scripts/ollama/recipe.ts';
import { findStarter } from '../../../scripts/ollama/starter.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    ollama: OllamaRun;
  }
}

export interface OllamaRun {
  /** The Ollama binary. */
  readonly program: string;
  /** The starter model's file; undefined when this machine has none. */
  readonly starter: string | undefined;
}

export default async function setup(project: TestProject): Promise<void> {
  const program = ollamaProgram(process.env);
  // Never skipped in silence: who asks for these tests is to hear that they did not run.
  if (!(await isBuilt(program))) {
    throw new Error(`There is no Ollama at ${program}: \`npm run test:ollama\` builds one, which takes minutes.`);
  }
  const starter = await findStarter(process.env);
  if (starter === undefined) {
    process.stdout.write('ollama: no starter model here, so its tests are skipped; `npm run test:ollama` fetches it\n');
  }
  project.provide('ollama', { program, starter });
}
