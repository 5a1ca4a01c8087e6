/** Starts a fake engine in its own process, and steers it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { FakeReport, FakeSettings } from './settings.ts';

export interface FakeEngineOptions extends Partial<FakeSettings> {
  /** 0, the default: any free one. */
  readonly port?: number;
}

export interface FakeEngine {
  /** Such as `http://127.0.0.1:40123`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Changes settings while it runs; `faults` replaces the faults still to come, `unload` empties its memory. */
  control(changes: Partial<FakeSettings> & { unload?: boolean }): Promise<FakeReport>;
  /** What it has served. */
  report(): Promise<FakeReport>;
  /** Ends the process at once, as a crash would. */
  stop(): Promise<void>;
}

const program = fileURLToPath(new URL('./fake-ollama.ts', import.meta.url));

/**
 * Starts the process and waits until it listens.
 * @throws Error when it ends before, such as on a port that is taken
 */
export async function startFakeEngine({ port = 0, ...settings }: FakeEngineOptions = {}): Promise<FakeEngine> {
  const child = spawn(
    process.execPath,
    [
      '--experimental-strip-types',
      '--disable-warning=ExperimentalWarning',
      program,
      JSON.stringify({ port, ...settings }),
    ],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([once(lines, 'line'), ended.then(() => undefined)]);
  if (line === undefined || child.pid === undefined) throw new Error(`the fake engine did not start on port ${port}`);
  const bound = Number(line[0]);
  const url = `http://127.0.0.1:${bound}`;
  const ask = async (init?: RequestInit): Promise<FakeReport> => {
    const response = await fetch(`${url}/_fake`, init);
    const body = await response.json();
    if (!response.ok) throw new Error((body as { error: string }).error);
    return body as FakeReport;
  };
  return {
    url,
    port: bound,
    pid: child.pid,
    control: (changes) => ask({ method: 'POST', body: JSON.stringify(changes) }),
    report: () => ask(),
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
