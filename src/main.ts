/**
 * The process: the only reader of arguments and environment. It makes the `World` that the commands live in, and composes
 * home folder, log and node for `gogrid up`.
 */

import os from 'node:os';
import path from 'node:path';
import { runCli } from './cli/cli.ts';
import { lineInput } from './cli/line-input.ts';
import { programName } from './cli/program.ts';
import { shellWord } from './cli/text.ts';
import type { Home, Input, NodeSession, Output, World } from './cli/world.ts';
import type { ResolvedConfig } from './config/resolve.ts';
import { GoGridError, systemCode } from './errors.ts';
import { HOME } from './limits/program.ts';
import { isAlive, onParentGone, startedAt, terminate } from './machine/processes.ts';
import type { HomePaths } from './storage/home.ts';
import { version } from './version.ts';

const MEBIBYTE = 1024 * 1024;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const CRASHES = ['uncaughtException', 'unhandledRejection'] as const;

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    isTty: stream.isTTY === true,
    get columns() {
      return stream.isTTY === true ? stream.columns : undefined;
    },
  };
}

const stdin: Input = {
  get isTty() {
    return process.stdin.isTTY === true;
  },
  async readAll(maxBytes) {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new GoGridError({ code: 'payload_too_large', message: `standard input has more than ${maxBytes} bytes` });
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  },
};

/** Storage is loaded by the first thing that needs it: `gogrid --help` does not. */
async function openHome(given: string | undefined): Promise<Home> {
  const store = await import('./storage/home.ts');
  const paths = store.locateHome({
    home: given ?? process.env.GOGRID_HOME,
    env: process.env,
    platform: process.platform,
    userFolder: os.homedir(),
    workingFolder: process.cwd(),
  });
  return {
    folder: paths.folder,
    configFile: paths.configFile,
    flags: given === undefined ? '' : ` --home ${shellWord(given)}`,
    async readConfig() {
      const text = await store.readSmallFile(paths.configFile, HOME.maxConfigBytes);
      return text === undefined ? undefined : { path: paths.configFile, text };
    },
    writeConfig: (text) => store.replaceFile(paths.configFile, text),
    async mark() {
      const mark = await store.readMark(paths);
      return mark === undefined ? undefined : { ...mark, alive: isAlive(mark.pid) };
    },
    async apiKey() {
      const { readApiKey } = await import('./storage/key-file.ts');
      return readApiKey(paths);
    },
    mesh: {
      create: async (plan) => (await networkFile()).createMesh(paths, plan),
      show: async (given) => (await networkFile()).showMesh(paths, descriptorOf(store, paths, given)),
      reissue: async (given, changes) =>
        (await networkFile()).reissueMesh(paths, descriptorOf(store, paths, given), changes),
    },
    async tailLog(file, count, level) {
      const { readTail } = await import('./storage/log-file.ts');
      return readTail(logFileOf(store, paths, file), count, level);
    },
    async look(file) {
      const { readMachine } = await import('./machine/look.ts');
      const logFile = logFileOf(store, paths, file);
      return readMachine({ home: paths.folder, cache: paths.cacheFolder, logFile });
    },
    openNode: (resolved, json) => openNode(paths, resolved, json),
  };
}

type HomeModule = typeof import('./storage/home.ts');

function logFileOf(store: HomeModule, paths: HomePaths, setting: string): string {
  return setting === '' ? paths.logFile : store.resolveInHome(paths, os.homedir(), setting);
}

const networkFile = () => import('./storage/network-file.ts');

function descriptorOf(store: HomeModule, paths: HomePaths, setting: string): string | undefined {
  return setting === '' ? undefined : store.resolveInHome(paths, os.homedir(), setting);
}

/** This process made a node: what it says at its end, and with which code it ends, is the node's affair from then on. */
let hasNode = false;

async function openNode(paths: HomePaths, resolved: ResolvedConfig, json: boolean): Promise<NodeSession> {
  const { config } = resolved;
  // The node's modules take longest to load: they do so while the home is made ready.
  const loading = import('./node.ts');
  loading.catch(() => undefined);
  const [store, { isConfigured }, { LogFile }, { createLogger }] = await Promise.all([
    import('./storage/home.ts'),
    import('./config/resolve.ts'),
    import('./storage/log-file.ts'),
    import('./telemetry/create-logger.ts'),
  ]);
  await store.prepareHome(paths);
  const logs = await LogFile.open({
    file: logFileOf(store, paths, config.logging.log_file),
    maxBytes: config.logging.max_log_size_mb * MEBIBYTE,
    onError: (error) => process.stderr.write(`error: ${error.message}\n`),
  });
  const beforeLog = new Set<() => void>();
  const stderr = {
    write(line: string) {
      for (const listener of beforeLog) listener();
      process.stderr.write(line);
    },
  };
  const logger = createLogger({ level: config.logging.level, json }, { file: logs, stderr });
  try {
    const { createNode } = await loading;
    const node = await createNode(config, {
      home: paths,
      logger,
      logs,
      version,
      env: process.env,
      userFolder: os.homedir(),
      descriptorFile: descriptorOf(store, paths, config.network.descriptor),
      portIsConfigured: isConfigured(resolved, 'network.port'),
    });
    hasNode = true;
    return {
      node,
      logger,
      announce: (api, pid) => store.writeMark(paths, { pid, api, startedAt: Date.now() }),
      async close() {
        await store.removeMark(paths, process.pid).catch(() => undefined);
        await logs.close();
      },
      onLogPrinted(listener) {
        beforeLog.add(listener);
        return () => beforeLog.delete(listener);
      },
      flushSync: () => logs.flushSync(),
    };
  } catch (thrown) {
    await logs.close();
    throw thrown instanceof GoGridError && thrown.code === 'home_in_use'
      ? await homeInUse(store, paths, thrown)
      : thrown;
  }
}

/** Says which node it is that uses the home, as far as that is known. */
async function homeInUse(store: HomeModule, paths: HomePaths, error: GoGridError): Promise<GoGridError> {
  const mark = await store.readMark(paths);
  if (mark === undefined || !isAlive(mark.pid)) return error;
  return new GoGridError({
    code: 'home_in_use',
    message: `a node runs in ${paths.folder} already: process ${mark.pid}, API at ${mark.api}`,
    hint: 'use that one, stop it, or start this one with --home and a folder of its own',
    data: { pid: mark.pid, api: mark.api },
    cause: error,
  });
}

function listen(events: readonly string[], listener: (value: unknown) => void): () => void {
  for (const event of events) process.on(event, listener);
  return () => {
    for (const event of events) process.off(event, listener);
  };
}

async function edit(file: string): Promise<number> {
  const { spawn } = await import('node:child_process');
  const chosen = process.env.VISUAL || process.env.EDITOR || (process.platform === 'win32' ? 'notepad' : 'vi');
  // `code --wait` is a program and its flag.
  const [program = 'vi', ...flags] = chosen.trim().split(/\s+/);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const editor = spawn(program, [...flags, file], { stdio: 'inherit' });
  editor.on('error', (error) => {
    reject(
      new GoGridError({
        code: 'usage',
        message: `the editor '${chosen}' cannot be started: ${error.message}`,
        hint: `set EDITOR, or open ${file} yourself`,
      }),
    );
  });
  editor.on('close', (code) => resolve(code ?? 1));
  return promise;
}

const world: World = {
  args: process.argv.slice(2),
  env: process.env,
  // Not before it is asked for: the folder may be gone.
  get workingFolder() {
    return process.cwd();
  },
  program: programName({ env: process.env, script: process.argv[1] }),
  version,
  stdout: outputOf(process.stdout),
  stderr: outputOf(process.stderr),
  stdin,
  now: () => Date.now(),
  wait: (ms) =>
    new Promise((resolve) => {
      setTimeout(resolve, ms);
    }),
  home: openHome,
  lines: () => lineInput({ input: process.stdin, output: process.stdout, marksPastes: process.env.TERM !== 'dumb' }),
  processes: {
    isAlive,
    terminate,
    startedAt: (pid) => startedAt(pid, process.env),
  },
  lookAtPort: async (host, port) => (await import('./machine/look.ts')).lookAtPort(host, port),
  lookAtOllama: async (url) => (await import('./machine/look.ts')).lookAtOllama(url),
  onSignal(listener) {
    const stopListening = listen(SIGNALS, (signal) => listener(String(signal)));
    // npm ends at SIGTERM, and its shell does, without handing it on to the program.
    const stopWatching =
      process.env.npm_lifecycle_event === undefined ? () => {} : onParentGone(() => listener('SIGTERM'));
    return () => {
      stopListening();
      stopWatching();
    };
  },
  onCrash: (listener) => listen(CRASHES, listener),
  openSandbox: async () => (await import('./sandbox.ts')).openSandbox(),
  freeMemory: () => process.availableMemory(),
  auditLedger: async (file) => (await import('./node/ledger-audit.ts')).auditFile(path.resolve(file)),
  saveFile: async (file, parts, replace) =>
    (await import('./storage/export-file.ts')).saveFile(path.resolve(file), parts, replace),
  edit,
  exit: (code) => process.exit(code),
};

// `gogrid logs | head` closes its end when it has enough: that is no error, and nobody is left to tell. A node goes on, since
// others use it, and stops in order when it is asked to: `gogrid up | head -1`, a terminal that was closed.
process.stdout.on('error', (error) => {
  if (!hasNode) process.exit(systemCode(error) === 'EPIPE' ? 0 : 1);
});
// A node whose standard error nobody reads any more goes on; its log file has everything.
process.stderr.on('error', () => undefined);

const exitCode = await runCli(world);
// Whatever a library left open must not keep the process: what was printed is written, the rest may go.
process.stdout.write('', () => process.exit(exitCode));
