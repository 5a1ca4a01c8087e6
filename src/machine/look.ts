/** Looks at the machine for the doctor: folders, memory, ports, and whether Ollama answers. Changes nothing. */

import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { freemem, totalmem } from 'node:os';
import path from 'node:path';
import type { FolderFacts, MachineFacts, PortFacts } from '../doctor/facts.ts';
import { systemCode } from '../errors.ts';
import { DOCTOR } from '../limits/program.ts';

export interface Places {
  readonly home: string;
  readonly cache: string;
  readonly logFile: string;
}

export async function readMachine(places: Places): Promise<MachineFacts> {
  const [home, cache, log] = await Promise.all([
    lookAtFolder(places.home),
    lookAtFolder(places.cache),
    stat(places.logFile).catch(() => undefined),
  ]);
  return {
    nodeVersion: process.versions.node,
    memory: { totalBytes: totalmem(), freeBytes: availableMemory() },
    home,
    cache,
    logBytes: log?.size ?? 0,
  };
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'it is on a read-only disk',
};

/** What programs may still have: the caches of the system are theirs when they want it. */
function availableMemory(): number {
  return process.availableMemory?.() ?? freemem();
}

/** A folder that is not there yet is judged by the one in which it would be made. */
async function lookAtFolder(folder: string): Promise<FolderFacts> {
  const there = await nearestFolder(folder);
  const problem = await access(there, constants.W_OK | constants.X_OK).then(
    () => undefined,
    (thrown: unknown) => WORDS[systemCode(thrown) ?? ''] ?? systemCode(thrown) ?? 'unknown error',
  );
  const disk = await statfs(there).catch(() => undefined);
  return { path: folder, problem, freeBytes: disk === undefined ? undefined : disk.bavail * disk.bsize };
}

async function nearestFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  const above = path.dirname(folder);
  return found !== undefined || above === folder ? folder : nearestFolder(above);
}

/** Whether a port can be listened on, and else who does. */
export async function lookAtPort(host: string, port: number): Promise<PortFacts> {
  const at = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const code = await tryToListen(host, port);
  if (code === undefined) return { at, state: 'free', by: undefined };
  if (code !== 'EADDRINUSE') return { at, state: 'refused', by: undefined };
  const loopback = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return { at, state: 'taken', by: await whoAnswers(loopback, port) };
}

function tryToListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(systemCode(error) ?? 'unknown error'));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** The program behind a port, as far as it says so to `GET /`. */
async function whoAnswers(host: string, port: number): Promise<string> {
  const answer = await get(`http://${host.includes(':') ? `[${host}]` : host}:${port}/`);
  if (answer === undefined) return 'another program';
  if (answer.server.startsWith('GoGrid')) return 'a GoGrid node of another home';
  return answer.text.includes('Ollama is running') ? 'Ollama' : 'another web server';
}

/** The version of the Ollama at `url`; undefined when none answers. */
export async function lookAtOllama(url: string): Promise<string | undefined> {
  const answer = await get(new URL('/api/version', url).toString());
  try {
    const { version } = JSON.parse(answer?.text ?? '') as { version?: unknown };
    return typeof version === 'string' && /^[\w.+-]{1,40}$/.test(version) ? version : undefined;
  } catch {
    return undefined;
  }
}

/** What answers there, as far as it does so in `probeMs`; of a long answer its beginning. */
async function get(url: string): Promise<{ server: string; text: string } | undefined> {
  try {
    const signal = AbortSignal.timeout(DOCTOR.probeMs);
    const { body, headers } = await fetch(url, { signal, redirect: 'manual', headers: { connection: 'close' } });
    let text = '';
    for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += piece;
      if (text.length > DOCTOR.maxProbeChars) break;
    }
    return { server: headers.get('server') ?? '', text: text.slice(0, DOCTOR.maxProbeChars) };
  } catch {
    return undefined;
  }
}
