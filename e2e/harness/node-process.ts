/** One node as a real process, driven through nothing but its API, its signals and its home folder. */

import type { ChildProcess } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type Job,
  job,
  jobList,
  type ListedJob,
  type Model,
  modelList,
  type NodeStatusAnswer,
  nodeStatus,
  type Peer,
  peerList,
  type ReadyEvent,
  type RuntimeHealth,
  readyEvent,
  runtimeHealth,
} from '../../src/contract/control.ts';
import { startChild } from './children.ts';
import { baseEnvironment, type Environment, NODE_SETTINGS } from './environment.ts';
import { thisRun } from './run.ts';

export interface NodeOptions {
  readonly name: string;
  /** The scenario's folder; the home is the node's name in it. */
  readonly folder: string;
  /** Multiaddrs to join through. */
  readonly bootstrap?: readonly string[];
  /** Where its Ollama answers; without one it runs no models. */
  readonly engineUrl?: string | undefined;
  /** Over everything else. */
  readonly env?: Environment;
}

/** How a process ended: an exit code, or the signal that ended it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A start takes a second on a quiet machine. */
const READY_WITHIN_MS = 30_000;
/** `node.shutdown_grace_secs`, and what closing takes. */
const STOP_WITHIN_MS = 22_000;

export class NodeProcess {
  readonly name: string;
  readonly home: string;
  readonly options: NodeOptions;
  /** Resolves when the process is gone, however that came. */
  readonly exited: Promise<Exit>;
  /** Milliseconds from the start of the process to its `ready` line. */
  readonly startedInMs: number;
  /** Set when the test itself has it end in another way than in order, so that its exit is no finding. */
  excused = false;
  readonly #child: ChildProcess;
  readonly #output: { stdout: string; stderr: string };
  readonly #ready: ReadyEvent;
  readonly #key: string;
  #exit: Exit | undefined;

  private constructor(
    options: NodeOptions,
    started: { home: string; running: Running; ready: ReadyEvent; key: string; startedInMs: number },
  ) {
    this.options = options;
    this.name = options.name;
    this.home = started.home;
    this.startedInMs = started.startedInMs;
    this.#child = started.running.child;
    this.#output = started.running.output;
    this.#ready = started.ready;
    this.#key = started.key;
    this.exited = started.running.exited;
    void this.exited.then((exit) => {
      this.#exit = exit;
    });
  }

  /**
   * Starts `gogrid up` and waits until it says that it is ready.
   * @throws Error with all it printed, when it ends before
   */
  static async start(options: NodeOptions): Promise<NodeProcess> {
    const home = path.join(options.folder, options.name);
    await mkdir(home, { recursive: true, mode: 0o700 });
    const startedAt = performance.now();
    const running = launch(home, options);
    const ready = await readReadyLine(options.name, running);
    const startedInMs = performance.now() - startedAt;
    const key = (await readFile(path.join(home, 'api.key'), 'utf8')).trim();
    return new NodeProcess(options, { home, running, ready, key, startedInMs });
  }

  /** Base URL of the API. */
  get api(): string {
    return this.#ready.api;
  }

  get peerId(): string {
    return this.#ready.peerId;
  }

  /** Multiaddrs by which other nodes reach it. */
  get addresses(): readonly string[] {
    return this.#ready.addresses;
  }

  get pid(): number {
    return this.#ready.pid;
  }

  get key(): string {
    return this.#key;
  }

  /** How it ended; undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  get stderr(): string {
    return this.#output.stderr;
  }

  /* ---- its API ---- */

  /** Any request with the admin key. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${this.#key}`);
    return fetch(this.api + path, { ...init, headers, signal: init.signal ?? AbortSignal.timeout(30_000) });
  }

  /** @throws Error unless the status is 2xx */
  async get(path: string): Promise<unknown> {
    return this.#json(path, {});
  }

  /** @throws Error unless the status is 2xx */
  async post(path: string, body: unknown): Promise<unknown> {
    return this.#json(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  async peers(): Promise<Peer[]> {
    return peerList.parse(await this.get('/mesh/peers')).peers;
  }

  async models(): Promise<Model[]> {
    return modelList.parse(await this.get('/model/list')).models;
  }

  async status(): Promise<NodeStatusAnswer> {
    return nodeStatus.parse(await this.get('/status'));
  }

  async runtime(): Promise<RuntimeHealth> {
    return runtimeHealth.parse(await this.get('/health/runtime'));
  }

  /** Newest first. */
  async jobs(): Promise<ListedJob[]> {
    return jobList.parse(await this.get('/jobs?limit=1000')).jobs;
  }

  async job(id: string): Promise<Job> {
    return job.parse(await this.get(`/jobs/${id}`));
  }

  /* ---- its process ---- */

  /** Asks it to end, as an operating system does. */
  async stop(): Promise<Exit> {
    return this.#end('SIGTERM', STOP_WITHIN_MS);
  }

  /** Ends it without its help. */
  async kill(): Promise<Exit> {
    this.excused = true;
    return this.#end('SIGKILL', STOP_WITHIN_MS);
  }

  /** Stops its time, as a suspended machine or a frozen virtual one does: sockets stay open, nothing answers. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** Everything that it has logged, the file that was put aside included. */
  async log(): Promise<string> {
    const folder = path.join(this.home, 'logs');
    const files = (await readdir(folder).catch(() => [])).sort().reverse();
    const texts = await Promise.all(files.map((file) => readFile(path.join(folder, file), 'utf8')));
    return texts.join('');
  }

  async #json(path: string, init: RequestInit): Promise<unknown> {
    const response = await this.fetch(path, init);
    const body = await response.text();
    if (!response.ok) throw new Error(`${this.name}: ${init.method ?? 'GET'} ${path}: ${response.status} ${body}`);
    return JSON.parse(body);
  }

  async #end(signal: NodeJS.Signals, withinMs: number): Promise<Exit> {
    if (this.#exit !== undefined) return this.#exit;
    this.thaw();
    this.#child.kill(signal);
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, withinMs, undefined).unref());
    const exit = await Promise.race([this.exited, late]);
    if (exit !== undefined) return exit;
    this.#child.kill('SIGKILL');
    throw new Error(`${this.name} did not end within ${withinMs} ms of ${signal}`);
  }
}

interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly exited: Promise<Exit>;
}

function launch(home: string, options: NodeOptions): Running {
  const engine = options.engineUrl;
  const child = startChild(process.execPath, [thisRun().program, 'up', '--home', home, '--json'], {
    cwd: options.folder,
    env: {
      ...baseEnvironment(options.folder),
      ...NODE_SETTINGS,
      GOGRID_NODE_NODE_NAME: options.name,
      GOGRID_NETWORK_BOOTSTRAP: (options.bootstrap ?? []).join(','),
      GOGRID_ENGINE_KIND: engine === undefined ? 'none' : 'ollama',
      GOGRID_ENGINE_OLLAMA_URL: engine ?? '',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  // `close` comes after the last output, `exit` may come before it.
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('error', reject);
  });
  return { child, output, exited };
}

async function readReadyLine(name: string, { child, output, exited }: Running): Promise<ReadyEvent> {
  const { promise, resolve } = Promise.withResolvers<'line'>();
  child.stdout?.on('data', () => {
    if (output.stdout.includes('\n')) resolve('line');
  });
  const late = new Promise<'late'>((done) => setTimeout(done, READY_WITHIN_MS, 'late' as const).unref());
  const first = await Promise.race([promise, exited, late]);
  if (first !== 'line') {
    child.kill('SIGKILL');
    const how = first === 'late' ? `was not ready within ${READY_WITHIN_MS} ms` : `ended (${JSON.stringify(first)})`;
    throw new Error(`${name} ${how}\nstdout: ${output.stdout}\nstderr: ${output.stderr}`);
  }
  const line = output.stdout.slice(0, output.stdout.indexOf('\n'));
  return readyEvent.parse(JSON.parse(line));
}
