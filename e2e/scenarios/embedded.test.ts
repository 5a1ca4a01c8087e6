/** The embedded engine in real nodes: llama.cpp in a process of its own, which may die without taking anything along. */

import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { NEVER_ENDS, writeTinyGguf } from '../../src/testing/tiny-gguf.ts';
import { openai, streamChat } from '../harness/clients.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 60_000 };
const MODEL = 'tiny:latest';
/** Temperature 0: the same prompt gives the same answer. */
const ASKED = { model: MODEL, temperature: 0, max_tokens: 300 };
/** Words after which the engine's process is killed. */
const HEARD_WORDS = 40;

async function node(stage: Stage, name: string, bootstrap: readonly string[] = []): Promise<NodeProcess> {
  const models = path.join(stage.folder, 'models');
  // Many layers make it slow enough to be killed in the middle of an answer.
  await writeTinyGguf(path.join(models, 'tiny.gguf'), { end: NEVER_ENDS, layers: 12 });
  return stage.node({
    name,
    bootstrap,
    env: { GOGRID_ENGINE_KIND: 'embedded', GOGRID_ENGINE_MODELS_DIR: models, XDG_CACHE_HOME: stage.folder },
  });
}

/** The process that runs the models of a node: its only child. */
async function engineProcess({ pid }: { readonly pid: number }): Promise<number | undefined> {
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    // The parent is the second field behind the name, which may hold anything but ends with the last parenthesis.
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) return Number(entry);
  }
  return undefined;
}

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '').length;

describe('the process that runs the models is killed in the middle of an answer', () => {
  scenario('the answer goes on from here, when there is nobody else', BUDGET, async (stage) => {
    const alone = await node(stage, 'alone');
    await killInMidAnswer(alone, alone);
  });

  scenario('the answer goes on from a peer', BUDGET, async (stage) => {
    const first = await node(stage, 'first');
    const second = await node(stage, 'second', first.addresses);
    const asking = await stage.node({ name: 'asking', bootstrap: first.addresses });
    await until(
      async () => (await asking.models()).find(({ name, providers }) => name === MODEL && providers.length === 2),
      {
        what: 'both to offer the model',
      },
    );
    const providers = await killInMidAnswer(asking, first, second);
    expect(new Set(providers).size, 'the second part comes from the other node').toBe(2);
  });
});

/** Asks twice, the second time with a kill. @returns who gave which part of the second answer */
async function killInMidAnswer(asked: NodeProcess, ...providers: readonly NodeProcess[]): Promise<string[]> {
  const client = openai(asked);
  const content = 'Tell me of the sea.';
  const undisturbed = await streamChat(client, { model: MODEL, content, more: ASKED });
  expect(words(undisturbed.text)).toBeGreaterThan(HEARD_WORDS * 2);

  let killed: number | undefined;
  const disturbed = await streamChat(client, {
    model: MODEL,
    content,
    more: ASKED,
    onChunk: async ({ text, provider }) => {
      if (killed !== undefined || words(text) < HEARD_WORDS) return;
      const answering = providers.find(({ peerId }) => peerId === provider);
      killed = await engineProcess(answering ?? asked);
      expect(killed, 'the engine runs in a process of its own').toBeDefined();
      process.kill(killed as number, 'SIGKILL');
    },
  });
  expect(killed).toBeDefined();
  expect(disturbed.finish).toBe(undisturbed.finish);
  expect(disturbed.text).toBe(undisturbed.text);

  const { attempts, state } = await asked.job(disturbed.job);
  expect(state).toBe('completed');
  expect(attempts.length, 'the answer was cut').toBeGreaterThan(1);
  expect(attempts[0]?.reason).toBe('engine_failed');
  expect(attempts.at(-1)?.reason).toBeNull();
  for (const provider of providers) expect(provider.exit, 'the node lives on').toBeUndefined();
  return attempts.filter(({ toToken, fromToken }) => toToken > fromToken).map(({ provider }) => provider);
}
