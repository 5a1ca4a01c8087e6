/**
 * The node's side of one process that runs one model, from its start to its end. A model leaves the memory when its process
 * ends, all of it; a process that dies takes its call along and nothing else.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Clock, Timer } from '../../clock.ts';
import type { GoGridError } from '../../errors.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import { died, unusable } from './failures.ts';
import { type FromProcess, fromProcess, type LoadOrder, type RunOrder, type ToProcess } from './messages.ts';
import { ProcessRun } from './process-run.ts';

/** Why a process ended: by itself, or because it was told to. */
export interface End {
  readonly wanted: boolean;
  /** How, for people: `signal SIGKILL`, `exit code 1`. */
  readonly how: string;
}

type Loaded = Extract<FromProcess, { type: 'loaded' }>;

export class ModelProcess {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #readyTimer: Timer;
  readonly #ready = Promise.withResolvers<string>();
  readonly #loaded = Promise.withResolvers<Loaded>();
  readonly #ended = Promise.withResolvers<End>();
  #run: ProcessRun | undefined;
  #nextId = 1;
  #wanted = false;
  #rubbish = false;
  #end: End | undefined;

  /** @param program another one than ours, for tests */
  constructor(clock: Clock, program = childFile()) {
    this.#clock = clock;
    for (const promise of [this.#ready.promise, this.#loaded.promise]) promise.catch(() => undefined);
    this.#child = startChild(program);
    this.#child.on('message', (message) => this.#hear(message));
    this.#child.once('error', (error) => this.#over(error.message));
    this.#child.once('exit', (code, signal) => this.#over(signal === null ? `exit code ${code}` : `signal ${signal}`));
    this.#readyTimer = clock.after(EMBEDDED.readyMs, () => this.#child.kill('SIGKILL'));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The library's version, once it is loaded. @throws GoGridError `engine_unavailable`, `engine_failed` */
  get ready(): Promise<string> {
    return this.#ready.promise;
  }

  /** Resolves when the process is gone. */
  get ended(): Promise<End> {
    return this.#ended.promise;
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** Loads its model; once. @throws GoGridError `engine_out_of_memory`, `engine_failed`, `engine_unavailable` */
  async load(order: Omit<LoadOrder, 'type'>): Promise<Loaded> {
    await this.ready;
    this.#send({ type: 'load', ...order });
    return this.#loaded.promise;
  }

  /** Begins a call. The one before must have ended. */
  run(order: Omit<RunOrder, 'type' | 'id' | 'credits'>): ProcessRun {
    const id = this.#nextId++;
    const run = new ProcessRun({
      credit: (count) => this.#send({ type: 'credit', id, count }),
      cancel: () => this.#send({ type: 'cancel', id }),
      // What does not stop when it is told to is in the middle of a long step, or hangs.
      kill: () => this.#child.kill('SIGKILL'),
      rubbish: () => this.#refuse(),
      clock: this.#clock,
    });
    this.#run = run;
    if (this.#end === undefined) this.#send({ type: 'run', id, credits: EMBEDDED.creditChunks, ...order });
    else run.fail(died(this.#end.how));
    return run;
  }

  /** It has nothing to save. */
  stop(): void {
    this.#wanted = true;
    this.#child.kill('SIGKILL');
  }

  #send(message: ToProcess): void {
    // A channel that is closed means that the process is ending: `exit` comes next.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #hear(received: unknown): void {
    if (this.#rubbish) return;
    const parsed = fromProcess.safeParse(received);
    if (!parsed.success) {
      this.#refuse();
      return;
    }
    const message = parsed.data;
    switch (message.type) {
      case 'ready':
        this.#readyTimer.cancel();
        this.#ready.resolve(message.version);
        break;
      case 'unusable':
        this.#readyTimer.cancel();
        this.#ready.reject(unusable(message.message));
        this.stop();
        break;
      case 'loaded':
        this.#loaded.resolve(message);
        break;
      default:
        if (message.type === 'error' && message.id === undefined) this.#loaded.reject(ProcessRun.errorOf(message));
        else this.#toRun(message);
    }
  }

  /** Ends a process that cannot be believed; what else it sent is not looked at. */
  #refuse(): void {
    this.#rubbish = true;
    this.#child.kill('SIGKILL');
  }

  #toRun(message: Parameters<ProcessRun['hear']>[0] & { id?: number | undefined }): void {
    // Of a call that is over, nothing is wanted any more.
    if (message.id !== this.#nextId - 1) return;
    this.#run?.hear(message);
  }

  #over(how: string): void {
    if (this.#end !== undefined) return;
    this.#readyTimer.cancel();
    this.#end = { wanted: this.#wanted, how: this.#rubbish ? 'a message that makes no sense' : how };
    const error: GoGridError = died(this.#end.how);
    this.#ready.reject(error);
    this.#loaded.reject(error);
    this.#run?.fail(error);
    this.#ended.resolve(this.#end);
  }
}

/** Under tsx and vitest the sources run as they are; in the bundle the second program lies beside the first. */
function childFile(): string {
  const here = import.meta.url;
  return fileURLToPath(new URL(here.endsWith('.ts') ? './child.ts' : '../embedded.js', here));
}

function startChild(file: string): ChildProcess {
  const child = fork(file, [], {
    serialization: 'advanced',
    // Nothing of the node's environment: it may hold secrets. Windows finds its own libraries by this one.
    env: process.env.SystemRoot === undefined ? {} : { SystemRoot: process.env.SystemRoot },
    execArgv: file.endsWith('.ts') ? ['--experimental-strip-types', '--disable-warning=ExperimentalWarning'] : [],
    // What native code prints there may hold anything.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    windowsHide: true,
  });
  // Answers come a little later; the node's own signs of life, and the user's work, do not.
  try {
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It ended already, or the system does not allow it.
  }
  // The node decides by itself when it ends.
  child.unref();
  child.channel?.unref();
  return child;
}
