/** Processes under measurement: started, asked for the CPU time they used, ended. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = path.resolve(import.meta.dirname, '../..');
const NODE = process.execPath;

export interface Measured {
  readonly pid: number;
  /** Where it answers, such as `http://127.0.0.1:4301`. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface MeasuredNode extends Measured {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly key: string;
}

export async function startEngine(): Promise<Measured> {
  return listening(spawn(NODE, [path.join(ROOT, 'scripts/bench/engine.ts')], { stdio: ['ignore', 'pipe', 'inherit'] }));
}

export async function startProxy(engine: string): Promise<Measured> {
  const script = path.join(ROOT, 'scripts/bench/proxy.ts');
  return listening(spawn(NODE, [script, engine], { stdio: ['ignore', 'pipe', 'inherit'] }));
}

/** nginx as people put it in front of an engine; undefined where it is not installed. */
export async function startNginx(engine: string): Promise<Measured | undefined> {
  const folder = mkdtempSync(path.join(tmpdir(), 'gogrid-bench-nginx-'));
  const port = 20_000 + (process.pid % 20_000);
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `worker_processes 1; daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder};
  fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  upstream engine { server ${new URL(engine).host}; keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}`,
  );
  const child = spawn('nginx', ['-c', file, '-p', folder], { stdio: 'ignore' });
  const started = await new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('spawn', () => resolve(true));
  });
  const url = `http://127.0.0.1:${port}`;
  if (!started || !(await answers(url))) {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
  const stop = async () => {
    await ended(child, 'SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  return { pid: child.pid ?? 0, url, stop };
}

/** A node as its user runs it, from the bundle. */
export async function startNode(settings: Readonly<Record<string, string>>): Promise<MeasuredNode> {
  const home = mkdtempSync(path.join(tmpdir(), 'gogrid-bench-'));
  const child = spawn(NODE, [path.join(ROOT, 'dist/gogrid.js'), 'up', '--home', home, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      GOGRID_API_PORT: '0',
      GOGRID_NETWORK_PORT: '0',
      GOGRID_NETWORK_MDNS: 'false',
      ...settings,
    },
  });
  const ready = JSON.parse(await firstLine(child)) as { api: string; peerId: string; addresses: string[] };
  const stop = async () => {
    await ended(child, 'SIGTERM');
    rmSync(home, { recursive: true, force: true });
  };
  const key = readFileSync(path.join(home, 'api.key'), 'utf8').trim();
  return { pid: child.pid ?? 0, url: ready.api, peerId: ready.peerId, addresses: ready.addresses, key, stop };
}

/** CPU time used so far by a process and its children, milliseconds; from Linux's scheduler, so not rounded to ticks. */
export function cpuMs(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim();
    for (const child of children === '' ? [] : children.split(' ')) nanoseconds += cpuMs(Number(child)) * 1e6;
  }
  return nanoseconds / 1e6;
}

/** Resolves when `condition` holds; asks again every 20 ms. @throws Error after ten seconds */
export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    if (await condition().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what} did not happen within ten seconds`);
}

async function listening(child: ChildProcess): Promise<Measured> {
  const port = await firstLine(child);
  return { pid: child.pid ?? 0, url: `http://127.0.0.1:${port}`, stop: () => ended(child, 'SIGTERM') };
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the process has no output');
  for await (const line of createInterface(child.stdout)) {
    child.stdout.resume();
    return line;
  }
  throw new Error('the process ended without a word');
}

async function answers(url: string): Promise<boolean> {
  return until('an answer', async () => (await fetch(`${url}/api/version`)).ok).then(
    () => true,
    () => false,
  );
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await exit;
}
