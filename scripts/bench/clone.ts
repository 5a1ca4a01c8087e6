/** P14: from a clone to the first word, on a machine that has never seen the program; and again without a network. */

import path from 'node:path';
import { commandOf, type FirstMinute } from './first-minute.ts';
import { hasOwnNetworks, insideOwnNetwork } from './own-network.ts';
import { newFolder, SPEAKING, speaking, start } from './processes.ts';
import type { Benchmark } from './report.ts';

export const clone: Benchmark = {
  name: 'clone',
  title: 'P14: from git clone to the first token',
  async run() {
    const folder = newFolder('clone');
    const caches = path.join(folder, 'caches');
    const apart = await hasOwnNetworks();
    const fresh = await firstMinute(commandOf(path.join(folder, 'fresh'), caches, false));
    const again = commandOf(path.join(folder, 'again'), caches, true);
    const warm = await firstMinute(apart ? insideOwnNetwork(again) : again);
    const rowOf = (caches: string, { answer, ...row }: FirstMinute) => ({
      caches,
      ...row,
      answer: answer.slice(0, 60),
    });
    return {
      rows: [rowOf('empty', fresh), rowOf('filled, no network', warm)],
      figures: [figureOf('empty caches', fresh, 90), figureOf('filled caches, no network', warm, undefined)],
      notes: [
        "Of this checkout's HEAD, installed with `npm ci` and started with `npm start`; with empty caches everything comes from the package registries, over the line that there is.",
        apart
          ? 'The second run has no network at all: it runs in a namespace with nothing but its own loopback.'
          : 'The second run has a network, because the system allows no namespace; npm was told not to use it.',
      ],
    };
  },
};

async function firstMinute([command, ...args]: readonly [string, ...string[]]): Promise<FirstMinute> {
  const { said, stop } = await speaking(start(command, args, SPEAKING));
  await stop();
  return JSON.parse(said) as FirstMinute;
}

function figureOf(what: string, { totalMs }: FirstMinute, most: number | undefined) {
  const value = totalMs / 1_000;
  const figure = { what: `git clone to the first token, ${what}`, value, unit: 's' };
  return most === undefined ? figure : { ...figure, target: `at most ${most}`, met: value <= most };
}
