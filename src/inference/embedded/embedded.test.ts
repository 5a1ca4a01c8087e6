/** The embedded engine with tiny models in a real process. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { vi } from 'vitest';
import { silentLogger } from '../../telemetry/logger.ts';
import { NEVER_ENDS, writeTinyGguf } from '../../testing/tiny-gguf.ts';
import { engineAcceptance } from '../engine.acceptance.ts';
import { createEmbeddedEngine } from './engine.ts';

// The process gets what computing time the tests beside it leave.
vi.setConfig({ testTimeout: 30_000 });

let folder = '';

engineAcceptance('embedded', {
  start: async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'gogrid-embedded-'));
    await writeTinyGguf(path.join(folder, 'Endless.gguf'), { end: NEVER_ENDS });
    await writeTinyGguf(path.join(folder, 'ending.Q4.gguf'), { seed: 7 });
  },
  stop: () => rm(folder, { recursive: true, force: true }),
  engine: (clock) =>
    createEmbeddedEngine(
      { folders: [folder], starter: undefined, digestFile: path.join(folder, 'digests.json'), catalogue: [] },
      { logger: silentLogger, clock },
    ),
  models: {
    chat: 'endless:latest',
    closing: 'ending.q4:latest',
    embedding: 'endless:latest',
    tools: undefined,
    thinking: undefined,
  },
  prompt: (tokens) => `Say ${tokens} words, please.`,
  options: { temperature: 0 },
  control: undefined,
});
