/** A real Ollama daemon of the test's own: its port, its models, its home; it asks nobody for anything. */

import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { inject } from 'vitest';
import { startChild } from '../../harness/children.ts';
import { until } from '../../harness/until.ts';
import type { OllamaModel } from './models.ts';

export interface DaemonOptions {
  /** The scenario's folder. */
  readonly folder: string;
  /** Of the folder in it. */
  readonly name?: string;
  readonly models: readonly OllamaModel[];
}

const STARTS_WITHIN_MS = 20_000;
/** It unloads its models before it goes. */
const STOPS_WITHIN_MS = 5_000;

export class OllamaDaemon {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;

  private constructor(url: string, child: ChildProcess, gone: Promise<void>) {
    this.url = url;
    this.#child = child;
    this.#gone = gone;
  }

  /** Starts it, and waits until it has its models. @throws Error with what it printed, when it does not start */
  static async start({ folder, name = 'ollama', models }: DaemonOptions): Promise<OllamaDaemon> {
    const home = path.join(folder, name);
    await mkdir(home, { recursive: true });
    const host = `127.0.0.1:${await freePort()}`;
    const child = startChild(inject('ollama').program, ['serve'], {
      cwd: home,
      env: { ...ollamaEnvironment(home, host), OLLAMA_MODELS: path.join(home, 'models') },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let printed = '';
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      printed = (printed + piece).slice(-4000);
    });
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    child.once('close', () => resolve());
    child.once('error', (error) => {
      printed += error.message;
      resolve();
    });
    const daemon = new OllamaDaemon(`http://${host}`, child, gone);
    try {
      await until(() => child.exitCode !== null || daemon.#version(), {
        what: 'Ollama to listen',
        within: STARTS_WITHIN_MS,
      });
      if (child.exitCode !== null) throw new Error(`it ended with exit code ${child.exitCode}`);
      for (const model of models) await daemon.#create(model);
    } catch (error) {
      await daemon.stop();
      throw new Error(`Ollama did not start: ${String(error)}\n${printed}`, { cause: error });
    }
    return daemon;
  }

  /** Ends it in order, by its process id; without its help when that takes too long. */
  async stop(): Promise<void> {
    if (this.#child.pid === undefined) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), STOPS_WITHIN_MS);
    await this.#gone;
    clearTimeout(timer);
  }

  /** Ends it with the runners of its models, at once. */
  kill(): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
  }

  /** Ends the processes that run the models, as a system does that runs out of memory; the daemon itself lives on. */
  async killRunners(): Promise<void> {
    const threads = `/proc/${this.#child.pid}/task`;
    // A child belongs to the thread that started it.
    const lists = (await readdir(threads)).map((thread) => readFile(path.join(threads, thread, 'children'), 'utf8'));
    const runners = (await Promise.all(lists)).flatMap((list) => list.split(' ').filter((text) => text !== ''));
    if (runners.length === 0) throw new Error('Ollama has no model in memory');
    for (const runner of runners) process.kill(Number(runner), 'SIGKILL');
  }

  /** Names of the models in memory. */
  async loaded(): Promise<string[]> {
    const response = await fetch(`${this.url}/api/ps`);
    const { models } = (await response.json()) as { models: { name: string }[] };
    return models.map(({ name }) => name);
  }

  async #version(): Promise<boolean> {
    const response = await fetch(`${this.url}/api/version`, { signal: AbortSignal.timeout(1000) });
    return response.ok;
  }

  async #create({ name, gguf, template, parameters }: OllamaModel): Promise<void> {
    const digest = `sha256:${createHash('sha256').update(gguf).digest('hex')}`;
    await this.#post(`/api/blobs/${digest}`, new Uint8Array(gguf));
    const files = { 'model.gguf': digest };
    const more = { ...(template !== undefined && { template }), ...(parameters !== undefined && { parameters }) };
    await this.#post('/api/create', JSON.stringify({ model: name, files, stream: false, ...more }));
  }

  async #post(path: string, body: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const response = await fetch(this.url + path, { method: 'POST', body });
    const text = await response.text();
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${text}`);
  }
}

/** Of the daemon and of the command line alike. */
export function ollamaEnvironment(home: string, host: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: home,
    TERM: 'xterm',
    OLLAMA_HOST: host,
    // Without it the daemon asks its vendor's servers when it starts.
    OLLAMA_NO_CLOUD: '1',
    OLLAMA_KEEP_ALIVE: '30s',
  };
}

/** Another process may take it before the daemon does; then the daemon says so and the test fails. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
