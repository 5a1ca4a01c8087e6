/** Other gateways, as people put them in front of an engine; each is left out, with a reason, where it cannot run. */

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';
import { environment } from './nodes.ts';
import { ended, type Measured, newFolder, start, until } from './processes.ts';

/** It loads some thousand Python modules. */
const LITELLM_START_MS = 60_000;
const INSTALL_WITHIN_MS = 600_000;

export async function startNginx(engine: string): Promise<Measured | undefined> {
  const folder = newFolder('nginx');
  const port = await freePort();
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
  return serving('nginx', ['-c', file, '-p', folder], port, { path: '/api/version', withinMs: 5_000 });
}

/** LiteLLM's proxy before the engine; the first time it is installed into the user's cache folder, which takes minutes. */
export async function startLiteLlm(engine: string): Promise<Measured | undefined> {
  const program = await installLiteLlm();
  if (program === undefined) return undefined;
  const folder = newFolder('litellm');
  const port = await freePort();
  const file = path.join(folder, 'config.yaml');
  writeFileSync(
    file,
    `model_list:
  - model_name: bench
    litellm_params: { model: ollama_chat/bench, api_base: '${engine}' }
litellm_settings: { telemetry: false }
`,
  );
  const args = ['--config', file, '--host', '127.0.0.1', '--port', String(port), '--num_workers', '1'];
  return serving(program, args, port, {
    path: '/health/liveliness',
    withinMs: LITELLM_START_MS,
    env: LITELLM_ENVIRONMENT,
  });
}
/** Nothing is asked of its vendor, and no key of its clients: the least that it does for a request. */
const LITELLM_ENVIRONMENT = {
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: 'true',
};

async function installLiteLlm(): Promise<string | undefined> {
  const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
  const folder = path.join(cache, 'gogrid', 'bench', 'litellm');
  const program = path.join(folder, 'bin', 'litellm');
  if (existsSync(program)) return program;
  console.log(`LiteLLM is installed into ${folder}; this takes minutes, once`);
  const pip = path.join(folder, 'bin', 'pip');
  const made = await runs('python3', ['-m', 'venv', folder]);
  if (made && (await runs(pip, ['install', '--quiet', 'litellm[proxy]'])) && existsSync(program)) return program;
  console.log('LiteLLM is left out: it could not be installed (python3, venv, `pip install litellm[proxy]`)');
  rmSync(folder, { recursive: true, force: true });
  return undefined;
}

async function runs(command: string, args: readonly string[]): Promise<boolean> {
  const child = start(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: environment() });
  const late = setTimeout(() => child.kill('SIGKILL'), INSTALL_WITHIN_MS);
  const code = await new Promise((resolve) => child.once('exit', resolve).once('error', () => resolve(undefined)));
  clearTimeout(late);
  return code === 0;
}

async function serving(
  command: string,
  args: readonly string[],
  port: number,
  answers: { path: string; withinMs: number; env?: Readonly<Record<string, string>> },
): Promise<Measured | undefined> {
  const name = path.basename(command);
  const child = start(command, args, { stdio: 'ignore', env: { ...environment(), ...answers.env } });
  const spawned = await new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('spawn', () => resolve(true));
  });
  if (!spawned) {
    console.log(`${name} is left out: it is not installed`);
    return undefined;
  }
  const url = `http://127.0.0.1:${port}`;
  try {
    const answered = async () => (await fetch(url + answers.path)).ok;
    await until(`an answer of ${name}`, answered, { withinMs: answers.withinMs });
  } catch {
    await ended(child, 'SIGKILL');
    console.log(`${name} is left out: it did not answer within ${answers.withinMs / 1000} s`);
    return undefined;
  }
  return { pid: child.pid ?? 0, url, stop: () => ended(child) };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
