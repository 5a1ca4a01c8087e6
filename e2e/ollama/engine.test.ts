/** The Ollama adapter against a real daemon: all of the engine suite that needs no engine which breaks on demand. */

import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, inject } from 'vitest';
import type { EngineSubject } from '../../src/inference/acceptance/stage.ts';
import { engineAcceptance } from '../../src/inference/engine.acceptance.ts';
import { createOllamaEngine } from '../../src/inference/ollama/engine.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { OllamaDaemon } from './harness/daemon.ts';
import { type OllamaModel, openModel, starterModels, tinyModel } from './harness/models.ts';

interface Models {
  /** Its template closes the turn of a trailing assistant message, as the one does that Ollama finds by itself. */
  readonly closing: OllamaModel;
  /** The same model with a template that leaves it open. */
  readonly open: OllamaModel;
}

function subject(name: string, make: () => Promise<Models> | Models): EngineSubject {
  let folder = '';
  let daemon: OllamaDaemon | undefined;
  return {
    async start() {
      folder = await mkdtemp(path.join(inject('e2e').folder, 'engine-'));
      const { closing, open } = await make();
      daemon = await OllamaDaemon.start({ folder, models: [closing, open] });
    },
    async stop() {
      await daemon?.stop();
      await rm(folder, { recursive: true });
    },
    engine: (clock) => createOllamaEngine({ url: daemon?.url ?? '' }, { logger: silentLogger, clock }),
    models: {
      chat: `${name}-open:latest`,
      closing: `${name}:latest`,
      embedding: `${name}-open:latest`,
      tools: undefined,
      thinking: undefined,
    },
    prompt: () => 'Name three colours.',
    options: { temperature: 0, num_thread: 1 },
    control: undefined,
  };
}

engineAcceptance(
  'ollama, real daemon, tiny model',
  subject('tiny', () => ({ closing: tinyModel(), open: openModel() })),
);

const { starter } = inject('ollama');
if (starter === undefined) describe.skip('ollama, real daemon, starter model');
else
  engineAcceptance(
    'ollama, real daemon, starter model',
    subject('starter', () => starterModels(starter)),
  );
