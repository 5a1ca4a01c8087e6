/** `gogrid doctor`: what is wrong, why, and the fix; by the running node, or from outside where none runs. */

import type { Config } from '../config/settings.ts';
import type { Diagnosis, Finding } from '../contract/doctor.ts';
import { diagnoseAbsence } from '../doctor/checks.ts';
import type { AbsentFacts } from '../doctor/facts.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { usage } from './arguments.ts';
import { type Call, printJson } from './command.ts';
import { connect } from './node-client.ts';
import { spelled, withHome } from './program.ts';
import { resolveSettings } from './settings.ts';
import { printable, type Style } from './text.ts';

export async function run(call: Call): Promise<number> {
  if (call.words.length > 0) throw usage(`doctor takes no '${call.words[0]}'`, 'doctor');
  const diagnosis = await diagnose(call);
  if (call.json) printJson(call, diagnosis);
  else call.world.stdout.write(render(call, diagnosis));
  return diagnosis.healthy ? 0 : 1;
}

async function diagnose(call: Call): Promise<Diagnosis> {
  try {
    const node = await connect(call.home);
    return await node.ask<Diagnosis>({ path: '/doctor' });
  } catch (thrown) {
    if (!(thrown instanceof GoGridError) || thrown.code !== 'node_not_running') throw thrown;
    return diagnoseFromOutside(call);
  }
}

async function diagnoseFromOutside(call: Call): Promise<Diagnosis> {
  const { home } = call;
  const mark = await home.mark();
  const config = await readConfig(call);
  const isConfig = !(config instanceof GoGridError);
  const facts: AbsentFacts = {
    diedAs: mark?.pid,
    startWith: `gogrid up${home.flags}`,
    config: { problem: isConfig ? undefined : { message: config.message, hint: config.hint } },
    ports: isConfig ? await portsOf(call, config) : [],
    ollama: isConfig ? await ollamaOf(call, config) : undefined,
  };
  const machine = await home.look(isConfig ? config.logging.log_file : '');
  return diagnoseAbsence(facts, machine);
}

async function readConfig(call: Call): Promise<Config | GoGridError> {
  try {
    return (await resolveSettings(call)).config;
  } catch (thrown) {
    return toGoGridError(thrown);
  }
}

async function portsOf({ world }: Call, config: Config): Promise<AbsentFacts['ports']> {
  const wanted = [
    { name: 'api.port', host: config.api.host === 'localhost' ? '127.0.0.1' : config.api.host, port: config.api.port },
    { name: 'network.port', host: config.network.listen, port: config.network.port },
  ] as const;
  // Port 0 is any that is free.
  const checked = wanted.filter(({ port }) => port !== 0);
  return Promise.all(
    checked.map(async ({ name, host, port }) => ({ name, facts: await world.lookAtPort(host, port) })),
  );
}

async function ollamaOf({ world }: Call, config: Config): Promise<AbsentFacts['ollama']> {
  if (config.engine.kind !== 'auto' && config.engine.kind !== 'ollama') return undefined;
  const url = config.engine.ollama_url;
  return { url, version: await world.lookAtOllama(url) };
}

const SIGNS: Readonly<Record<Finding['level'], readonly [string, Style]>> = {
  ok: ['ok', 'green'],
  warn: ['warn', 'yellow'],
  error: ['error', 'red'],
};
const CHECK_COLUMNS = 8;
const LEVEL_COLUMNS = 5;

/** A line a finding, its fix below it, and how many there are at the end. */
function render({ world, paint, home }: Call, { findings }: Diagnosis): string {
  const shown = (text: string) => printable(spelled(withHome(text, home.flags), world.program));
  const lines = findings.flatMap(({ check, level, message, fix }) => {
    const [word, style] = SIGNS[level];
    const sign = `${paint(style, word)}${' '.repeat(LEVEL_COLUMNS - word.length)}`;
    const line = `${sign}  ${printable(check).padEnd(CHECK_COLUMNS)}  ${shown(message)}`;
    const indent = ' '.repeat(LEVEL_COLUMNS + CHECK_COLUMNS + 4);
    // What is right needs no advice.
    return fix === undefined || level === 'ok' ? [line] : [line, `${indent}→ ${shown(fix)}`];
  });
  return `${[...lines, '', conclusion(findings)].join('\n')}\n`;
}

function conclusion(findings: readonly Finding[]): string {
  const errors = findings.filter(({ level }) => level === 'error').length;
  const warnings = findings.filter(({ level }) => level === 'warn').length;
  if (errors === 0 && warnings === 0) return 'Nothing is wrong.';
  const parts = [
    ...(errors === 0 ? [] : [errors === 1 ? '1 thing is wrong' : `${errors} things are wrong`]),
    ...(warnings === 0 ? [] : [warnings === 1 ? '1 could be better' : `${warnings} could be better`]),
  ];
  return `${parts.join(', ')}.`;
}
