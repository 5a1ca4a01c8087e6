/** `gogrid up`: the node in the foreground, from its configuration to its clean end. */

import { isLoopback } from '../config/checks.ts';
import { isConfigured, type ResolvedConfig } from '../config/resolve.ts';
import { type Config, SETTINGS, type SettingName } from '../config/settings.ts';
import type { ReadyEvent } from '../contract/control.ts';
import { CLI } from '../limits/program.ts';
import { logDefect } from '../telemetry/defect.ts';
import { usage } from './arguments.ts';
import { renderBanner } from './banner.ts';
import type { Call } from './command.ts';
import { sheetOf } from './command.ts';
import { spelled } from './program.ts';
import { resolveSettings } from './settings.ts';
import { shellWord } from './text.ts';
import { followNews } from './up-news.ts';
import type { NodeSession, RunningNode } from './world.ts';

export async function run(call: Call): Promise<number> {
  if (call.words.length > 0)
    throw usage(`up takes no '${call.words[0]}'; settings are flags, such as --api-port 5000`, 'up');
  const { home, json } = call;
  const resolved = await resolveSettings(call, settingFlags(call));
  const session = await home.openNode(resolved, json);
  // From here on a signal or a defect ends the node in order, also while it starts.
  const end = watchForEnd(call, session);
  try {
    for (const warning of resolved.warnings) session.logger.warn({ part: 'config' }, warning);
    await session.node.start();
    const stopNews = await announce(call, session, resolved, end.asked);
    const code = await end.asked;
    stopNews();
    await stopInTime(call, session, resolved.config);
    return code;
  } finally {
    end.stopWatching();
    await session.close();
  }
}

/** The flags that are settings; the items of a list may come in several. */
function settingFlags(call: Call): ReadonlyMap<SettingName, string> {
  const flags = new Map<SettingName, string>();
  for (const setting of SETTINGS) {
    const texts = call.flags.get(setting.flag);
    if (texts === undefined) continue;
    flags.set(setting.name, setting.type === 'list' ? texts.join(',') : (texts.at(-1) ?? ''));
  }
  return flags;
}

interface End {
  /** Resolves with the exit code when the node shall stop. */
  readonly asked: Promise<number>;
  stopWatching(): void;
}

function watchForEnd(call: Call, session: NodeSession): End {
  const { world } = call;
  const { promise, resolve } = Promise.withResolvers<number>();
  let ending = false;
  const endNow = () => {
    session.flushSync();
    world.exit(1);
  };
  const stopSignals = world.onSignal(() => {
    if (ending) endNow();
    ending = true;
    if (!call.json) world.stderr.write('\nStopping: running jobs may finish. Ctrl-C again stops at once.\n');
    session.logger.info({ part: 'main' }, 'asked to stop');
    resolve(0);
  });
  const stopAsked = session.node.onStopAsked(() => {
    if (ending) return;
    ending = true;
    if (!call.json) world.stderr.write('\nAsked to stop: running jobs may finish.\n');
    session.logger.info({ part: 'main' }, 'asked to stop through the API');
    resolve(0);
  });
  const stopCrashes = world.onCrash((thrown) => {
    logDefect(session.logger.child({ part: 'main' }), thrown);
    // A second one while stopping would go on for ever.
    if (ending) endNow();
    ending = true;
    resolve(1);
  });
  return {
    asked: promise,
    stopWatching() {
      stopSignals();
      stopAsked();
      stopCrashes();
    },
  };
}

/** @returns the way to stop what it goes on saying */
async function announce(
  call: Call,
  session: NodeSession,
  resolved: ResolvedConfig,
  endAsked: Promise<unknown>,
): Promise<() => void> {
  const { world } = call;
  const ready = session.node.ready();
  await session.announce(ready.api, ready.pid);
  session.logger.info({ part: 'main', version: world.version, api: ready.api, peerId: ready.peerId }, 'ready');
  const notices = session.node.notices();
  // A person reads them in the banner; a log is where a program's user looks.
  for (const notice of notices) session.logger[call.json ? 'warn' : 'info']({ part: 'main' }, notice);
  if (call.json) {
    const event: ReadyEvent = {
      event: 'ready',
      api: ready.api,
      peerId: ready.peerId,
      addresses: [...ready.addresses],
      pid: ready.pid,
    };
    world.stdout.write(`${JSON.stringify(event)}\n`);
    return () => {};
  }
  // Whoever stops it does not wait for a banner.
  if (!(await engineSettled(call, session.node, endAsked))) return () => {};
  const facts = {
    version: world.version,
    api: ready.api,
    peerId: ready.peerId,
    addresses: ready.addresses,
    mesh: session.node.mesh(),
    models: session.node.models().map((model) => model.name),
    coming: session.node.pulls().flatMap((pull) => (pull.endedAt === null ? [pull.model] : [])),
    engine: session.node.engine(),
    ollamaUrl: resolved.config.engine.ollama_url,
    ollamaConfigured: isConfigured(resolved, 'engine.ollama_url'),
    keyCommand: needsKey(resolved.config) ? `$(cat ${shellWord(`${call.home.folder}/api.key`)})` : undefined,
    notices,
    flags: call.home.flags,
  };
  world.stdout.write(spelled(renderBanner(facts, sheetOf(call).paint), world.program));
  return world.stdout.isTty ? followNews(call, session, facts) : () => {};
}

/** Whether a question to a model needs the key: where others can come in, they never may without it. */
function needsKey({ api }: Config): boolean {
  return api.require_key || !isLoopback(api.host);
}

/**
 * Waits a moment for the engine's first answer, so that the banner can say what there is.
 * @returns false as soon as the node shall stop
 */
async function engineSettled(call: Call, node: RunningNode, endAsked: Promise<unknown>): Promise<boolean> {
  const until = call.world.now() + CLI.engineWaitMs;
  const ended = endAsked.then(() => 'ended' as const);
  while (node.engine().state === 'starting' && call.world.now() < until) {
    if ((await Promise.race([ended, call.world.wait(CLI.engineLookMs)])) === 'ended') return false;
  }
  return true;
}

/** Stops the node; when its time is up the process ends all the same, as its supervisor expects. */
async function stopInTime(call: Call, session: NodeSession, config: Config): Promise<void> {
  const limitMs = Math.max(config.node.shutdown_grace_secs * 1000, CLI.minStopMs);
  const late = call.world.wait(limitMs).then(() => 'late' as const);
  const outcome = await Promise.race([session.node.stop(), late]);
  if (outcome === 'late') session.logger.warn({ part: 'main', limitMs }, 'the node did not stop in time and is ended');
}
