/**
 * Two machines in one local network, as a newcomer has them: the defaults of the program, found by multicast DNS, accepted by
 * hand. Multicast must not leave this machine, so the scenarios run in a network namespace of their own: this file starts
 * itself once more in one.
 */

import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { openai, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const INSIDE = 'GOGRID_E2E_NAMESPACE';
/** A pair of Ethernet ends, both in here: multicast needs an interface that says it can. */
const LAN = [
  'ip link set lo up',
  'ip link add lan type veth peer name other-end',
  'ip link set other-end up',
  'ip link set lan multicast on up',
  'ip addr add 10.77.0.1/24 dev lan',
  'ip route add 224.0.0.0/4 dev lan',
].join(' && ');
const repository = fileURLToPath(new URL('../..', import.meta.url));

if (process.env[INSIDE] === undefined) {
  const reason = whyNoNamespace();
  test.skipIf(reason !== undefined)(
    `two machines in one local network${reason === undefined ? '' : ` (skipped: ${reason})`}`,
    { timeout: 300_000 },
    async () => {
      const vitest = `exec "$0" node_modules/vitest/vitest.mjs run --project e2e e2e/scenarios/mdns.test.ts`;
      const args = ['-rn', 'sh', '-c', `${LAN} && ${vitest}`, process.execPath];
      const env = { ...process.env, [INSIDE]: '1' };
      const run = promisify(execFile)('unshare', args, { cwd: repository, env, maxBuffer: 64 * 1024 * 1024 });
      const { stdout } = await run.catch((failed: { stdout: string; stderr: string }) => {
        throw new Error(`in the namespace:\n${failed.stdout}\n${failed.stderr}`);
      });
      process.stdout.write(
        stdout
          .split('\n')
          .filter((line) => line.includes(' ms from '))
          .join('\n'),
      );
      expect(stdout).toContain('Tests');
    },
  );
} else {
  describe('two machines in one local network', inside);
}

/** Why there can be no network of our own here, or nothing. */
function whyNoNamespace(): string | undefined {
  const { status, stderr, error } = spawnSync('unshare', ['-rn', 'sh', '-c', LAN], { encoding: 'utf8' });
  if (status === 0) return undefined;
  return `no network namespace can be made: ${error?.message ?? stderr.trim()}`;
}

/** What a newcomer has: every setting of the harness that would open the door or look away is taken back. */
const DEFAULTS = { GOGRID_NETWORK_LISTEN: '', GOGRID_NETWORK_MDNS: '', GOGRID_NETWORK_ACCEPT: '' };

const listed = async (node: NodeProcess, other: NodeProcess) =>
  (await node.peers()).find(({ peerId }) => peerId === other.peerId);

const waits = (node: NodeProcess, other: NodeProcess, waitsFor: string) =>
  until(
    async () => {
      const peer = await listed(node, other);
      return peer?.status === 'waiting' && peer.waitsFor === waitsFor && peer.words !== null && peer;
    },
    { what: `${node.name} to show that ${other.name} waits (${waitsFor})` },
  );

function inside(): void {
  const content = 'a question from the other machine words=20';
  const question = (node: NodeProcess) => streamChat(openai(node), { content });

  scenario(
    'find each other, and serve nothing until both users have accepted (E49)',
    { within: 90_000 },
    async (stage) => {
      const engine = await stage.engine();
      const desk = await stage.node({ name: 'desk', env: DEFAULTS });
      const laptop = await stage.node({ name: 'laptop', engineUrl: engine.url, env: DEFAULTS });
      const readyAt = performance.now();
      const listedAt = await Promise.all([
        until(async () => (await listed(desk, laptop)) !== undefined, { what: 'desk to list laptop' }),
        until(async () => (await listed(laptop, desk)) !== undefined, { what: 'laptop to list desk' }),
      ]).then(() => performance.now());
      const totalMs = laptop.startedInMs + listedAt - readyAt;
      process.stdout.write(`${totalMs.toFixed(0)} ms from the start of the second process to both lists\n`);

      const [there, here] = await Promise.all([waits(desk, laptop, 'both'), waits(laptop, desk, 'both')]);
      expect(there.words).toBe(here.words);
      expect(there.words).toMatch(/^[a-z]+( [a-z]+){3}$/);
      expect(there).toMatchObject({ name: 'laptop', admitted: false, connected: true, models: [] });
      await expectNothing();

      // A program cannot compare words.
      expect((await stage.gogrid(['peers', 'accept', 'laptop', '--home', desk.home])).code).toBe(2);
      const shown = await stage.gogrid(['peers', '--home', desk.home]);
      expect(shown.stdout).toContain(there.words);
      expect(shown.stdout).toContain('peers accept laptop');

      const first = await stage.gogrid(['peers', 'accept', 'laptop', '--yes', '--home', desk.home]);
      expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('gogrid peers accept desk') });
      await Promise.all([waits(desk, laptop, 'there'), waits(laptop, desk, 'here')]);
      await expectNothing();

      const second = await stage.gogrid(['peers', 'accept', 'desk', '--yes', '--home', laptop.home]);
      expect(second).toMatchObject({ code: 0, stdout: 'desk and this machine now work together.\n' });
      await answers(desk);

      // What was decided outlives both.
      const before = (await generations(engine)).length;
      await desk.stop();
      await laptop.stop();
      const [deskAgain, laptopAgain] = [
        await stage.node({ name: 'desk', env: DEFAULTS }),
        await stage.node({ name: 'laptop', engineUrl: engine.url, env: DEFAULTS }),
      ];
      await answers(deskAgain);
      expect(await generations(engine)).toHaveLength(before + 1);
      expect((await listed(laptopAgain, deskAgain))?.words).toBe(there.words);
      await expectNamelessLog(desk, 'laptop');

      async function answers(node: NodeProcess) {
        await until(async () => (await node.models()).length > 0, { what: `${node.name} to know the model` });
        expect((await question(node)).text).toBe(answerTo(content));
      }

      async function expectNothing() {
        expect(await desk.models()).toEqual([]);
        await expect(question(desk)).rejects.toMatchObject({
          status: expect.toSatisfy((status) => [404, 503].includes(status)),
        });
        expect(await generations(engine)).toEqual([]);
      }
    },
  );

  scenario('of two meshes do not see each other', { within: 60_000 }, async (stage) => {
    const file = await stage.gogrid(['network', 'create', '--name', 'other', '--home', `${stage.folder}/founder`]);
    expect(file.code).toBe(0);
    const env = { ...DEFAULTS, GOGRID_NETWORK_DESCRIPTOR: `${stage.folder}/founder/network.json` };
    const [one, other] = [await stage.node({ env: DEFAULTS }), await stage.node({ env })];
    // A third that is of the first's mesh is found; by then the second would have been, too.
    const third = await stage.node({ env: DEFAULTS });
    await waits(third, one, 'both');
    await waits(one, third, 'both');
    expect(await listed(one, other)).toBeUndefined();
    expect(await listed(other, one)).toBeUndefined();
  });
}

/** What other machines say of themselves is in no line that is kept by default. */
async function expectNamelessLog(node: NodeProcess, name: string): Promise<void> {
  const kept = (await node.log()).split('\n').filter((line) => !/"level":"(debug|trace)"/.test(line));
  expect(kept.join('\n')).not.toContain(name);
}
