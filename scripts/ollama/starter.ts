/** The starter model for tests that want real sentences: fetched once into the user's cache folder, as the program does. */

import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { STARTER } from '../../src/inference/store/catalogue.ts';
import { ModelStore } from '../../src/inference/store/store.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { userCache } from './recipe.ts';

type Environment = Readonly<Record<string, string | undefined>>;

function store(env: Environment): ModelStore {
  const cacheFolder = path.join(userCache(env), 'gogrid', 'models');
  const ollamaFolders = [path.join(homedir(), '.ollama', 'models')];
  const makeFolder = async (folder: string) => void (await mkdir(folder, { recursive: true, mode: 0o700 }));
  return new ModelStore(
    { catalogue: [STARTER], cacheFolder, modelsFolder: cacheFolder, ollamaFolders, env },
    { clock: systemClock, log: silentLogger, makeFolder },
  );
}

/** Where the starter model lies, checked; undefined when it is not there. */
export async function findStarter(env: Environment): Promise<string | undefined> {
  return (await store(env).find(STARTER, new AbortController().signal))?.path;
}

/** Brings it here, unless it is. @throws GoGridError naming every place that did not give it */
export async function fetchStarter(env: Environment, say: (line: string) => void): Promise<void> {
  let told = '';
  await store(env).fetch(
    STARTER,
    ({ state, source }) => {
      const line = `the starter model: ${state}, ${source}`;
      if (line !== told) say(line);
      told = line;
    },
    new AbortController().signal,
  );
}
