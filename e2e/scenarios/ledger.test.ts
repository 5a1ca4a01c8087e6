/** Credits among real nodes: transfers, deaths, partitions, absence, exports. */

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { ledgerChaos } from '../chaos/ledger.ts';
import {
  balanceOf,
  CREDIT,
  CreditMesh,
  headOf,
  historyOf,
  pay,
  sumOf,
  untilAgreed,
  untilFinal,
  untilSigning,
  verified,
} from '../harness/credits.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { thisRun } from '../harness/run.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

scenario('credits go from hand to hand, and become final (G61, E15)', { within: 60_000 }, async (stage) => {
  const mesh = await CreditMesh.found(stage);
  const [a, b] = await Promise.all([mesh.join('a'), mesh.join('b')]);
  const { founder } = mesh;
  await untilSigning(founder, a, b);
  await pay(founder, a, 10n * CREDIT, 'for a start');
  await untilFinal(a, 10n * CREDIT);
  await pay(a, b, 3n * CREDIT);
  await untilFinal(b, 3n * CREDIT);
  await untilFinal(a, 7n * CREDIT);
  const [booked] = await historyOf(b);
  expect(booked).toMatchObject({ kind: 'accept', party: a.peerId, amountMicrocredits: '3000000', state: 'final' });
  const refused = await a.fetch('/credits/transfer', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to: b.peerId, amountMicrocredits: String(8n * CREDIT) }),
  });
  expect({ status: refused.status, body: await refused.json() }).toMatchObject({
    status: 402,
    body: { error: { code: 'insufficient_credits' } },
  });
  await untilAgreed([founder, a, b]);
  expect(await sumOf([founder, a, b])).toBe(mesh.genesis);
  for (const node of [founder, a, b]) await verified(node);
});

scenario(
  'five nodes pay one another while nodes die: nothing acknowledged is lost (E36, E37)',
  { within: 180_000 },
  async (stage) => {
    const mesh = await CreditMesh.found(stage);
    const names = ['a', 'b', 'c', 'd'];
    const nodes = new Map<string, NodeProcess>();
    for (const [name, node] of await Promise.all(names.map(async (name) => [name, await mesh.join(name)] as const))) {
      nodes.set(name, node);
    }
    const node = (name: string) => nodes.get(name) as NodeProcess;
    await untilSigning(mesh.founder, ...nodes.values());
    for (const name of names) await pay(mesh.founder, node(name), 20n * CREDIT);
    for (const name of names) await untilFinal(node(name), 20n * CREDIT);

    const { random } = stage;
    const acknowledged: { readonly from: string; readonly id: string }[] = [];
    const restarts: Promise<void>[] = [];
    for (let round = 0; round < 60; round++) {
      const alive = names.filter((name) => node(name).exit === undefined);
      const from = random.pick(alive);
      const to = random.pick(names.filter((name) => name !== from));
      // One that still looks for its own head says so, and is asked another time.
      const sent = await pay(node(from), node(to), BigInt(1 + random.int(0, 199_999))).catch(() => undefined);
      if (sent !== undefined) acknowledged.push({ from, id: sent.name.id });
      if (round % 12 === 6 && alive.length > 2) {
        const dead = node(random.pick(alive));
        await dead.kill();
        const others = [mesh.founder, ...[...nodes.values()].filter(({ exit }) => exit === undefined)];
        restarts.push(
          mesh.again(dead, others).then((again) => {
            nodes.set(dead.name, again);
          }),
        );
        await restarts.at(-1);
      }
    }
    expect(acknowledged.length).toBeGreaterThan(30);
    const all = [mesh.founder, ...nodes.values()];
    await untilAgreed(all);
    await until(
      async () =>
        (await Promise.all(all.map(balanceOf))).every(({ pendingMicrocredits }) => pendingMicrocredits === '0'),
      {
        what: 'everything to be booked',
        within: 60_000,
      },
    );
    await untilAgreed(all);
    for (const name of names) {
      const kept = new Set((await historyOf(node(name))).map((entry) => entry.name.id));
      const lost = acknowledged.filter(({ from, id }) => from === name && !kept.has(id));
      expect(lost).toEqual([]);
    }
    expect(await sumOf(all)).toBe(mesh.genesis);
    expect((await headOf(mesh.founder)).forked).toBe(0);
    for (const one of all) await verified(one);
  },
);

scenario('a node that was away for long has the same ledger as the others', { within: 120_000 }, async (stage) => {
  const mesh = await CreditMesh.found(stage);
  const [a, b, away] = await Promise.all([mesh.join('a'), mesh.join('b'), mesh.join('away')]);
  await untilSigning(mesh.founder, a, b, away);
  for (const node of [a, b, away]) await pay(mesh.founder, node, 50n * CREDIT);
  for (const node of [a, b, away]) await untilFinal(node, 50n * CREDIT);
  await away.stop();
  for (let count = 0; count < 150; count++) await pay(count % 2 === 0 ? a : b, count % 2 === 0 ? b : a, 100_000n);
  await pay(a, away, CREDIT);
  await untilAgreed([mesh.founder, a, b]);
  const back = await mesh.again(away, [b]);
  await untilFinal(back, 51n * CREDIT);
  await untilAgreed([mesh.founder, a, b, back]);
  expect(await sumOf([mesh.founder, a, b, back])).toBe(mesh.genesis);
});

/** Two programs with one key, each on a side of its own: each pays somebody of its side, who books it. */
for (const witnessed of [false, true]) {
  const title = witnessed
    ? 'a partition with a witness on one side: who spends twice pays once (N7)'
    : 'a partition without a witness: who spends twice is found, with the proof everywhere (N7)';
  scenario(title, { within: 180_000 }, async (stage) => {
    const mesh = await CreditMesh.found(stage);
    const { founder } = mesh;
    const [cheat, left, right] = await Promise.all([mesh.join('cheat'), mesh.join('left'), mesh.join('right')]);
    await untilSigning(founder, cheat, left, right);
    await pay(founder, cheat, 10n * CREDIT);
    await untilFinal(cheat, 10n * CREDIT);
    await untilAgreed([founder, cheat, left, right]);
    for (const node of [founder, cheat, left, right]) await node.stop();
    await mesh.copyHome(cheat, 'clone');

    // All come back at other ports, so that nobody is found by what is remembered.
    const left2 = await mesh.again(left, []);
    const founder2 = witnessed ? await stage.node({ name: 'founder', bootstrap: left2.addresses }) : undefined;
    const cheat2 = await mesh.again(cheat, [left2]);
    const right2 = await mesh.again(right, []);
    const clone = await mesh.join('clone', [right2]);
    expect(clone.peerId).toBe(cheat2.peerId);
    await untilSigning(cheat2, clone, left2, right2);
    const paid = await pay(cheat2, left2, CREDIT / 2n);
    const again = await pay(clone, right2, CREDIT / 2n);
    expect(again.name.sequence).toBe(paid.name.sequence);
    expect(again.name.id).not.toBe(paid.name.id);
    const booked = async (node: NodeProcess) => (await balanceOf(node)).availableMicrocredits === String(CREDIT / 2n);
    await until(() => booked(right2), { what: 'the right side to book it', within: 20_000 });
    await until(() => booked(left2), { what: 'the left side to book it', within: 20_000 });
    if (witnessed) await untilFinal(left2, CREDIT / 2n);
    await clone.kill();

    // The partition heals.
    await right2.stop();
    const right3 = await mesh.again(right2, [left2]);
    const founder3 = founder2 ?? (await stage.node({ name: 'founder', bootstrap: left2.addresses }));
    const all = [founder3, left2, right3];
    const ids = [paid.name.id, again.name.id].toSorted();
    for (const node of [...all, cheat2]) {
      const proven = async () => {
        const { forks } = await headOf(node);
        const found = forks.find(({ author }) => author === cheat2.peerId);
        return found?.ids.join() === ids.join();
      };
      await until(proven, { what: `${node.name} to have the proof`, within: 40_000 });
    }
    const { forks } = await untilAgreed(all);
    const proof = forks.find(({ author }) => author === cheat2.peerId);
    expect(proof?.resolved).toBe(witnessed ? paid.name.id : null);
    const worth = witnessed ? [CREDIT / 2n, 0n] : [0n, 0n];
    await until(
      async () =>
        (await Promise.all([left2, right3].map(balanceOf))).every(
          ({ availableMicrocredits }, at) => availableMicrocredits === String(worth[at]),
        ),
      { what: 'the books of both sides to say what is left', within: 20_000 },
    );
    // The one whose key was copied has noticed, and signs no more.
    await until(async () => (await headOf(cheat2)).signing.state === 'stopped', {
      what: 'the cheat to have stopped signing',
      within: 20_000,
    });
    const refused = await cheat2.fetch('/credits/transfer', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ to: left2.peerId, amountMicrocredits: '1' }),
    });
    expect(await refused.json()).toMatchObject({ error: { code: 'ledger_stopped' } });
    for (const node of all) await verified(node);
  });
}

scenario(
  'an export is verified without a node, and one flipped bit names its entry (N2)',
  { within: 60_000 },
  async (stage) => {
    const mesh = await CreditMesh.found(stage);
    const a = await mesh.join('a');
    await untilSigning(mesh.founder, a);
    for (let count = 0; count < 10; count++) await pay(mesh.founder, a, CREDIT);
    await untilFinal(a, 10n * CREDIT);
    const { digest } = await untilAgreed([mesh.founder, a]);

    const file = path.join(stage.folder, 'ledger.jsonl');
    const exported = await stage.gogrid(['ledger', 'export', file, '--home', a.home]);
    expect(exported).toMatchObject({ code: 0 });
    for (const node of [mesh.founder, a]) await node.stop();
    const checked = await stage.gogrid(['ledger', 'verify', file, '--json']);
    expect(JSON.parse(checked.stdout)).toMatchObject({ valid: true, digest });
    expect(checked.code).toBe(0);

    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    const at = lines.findIndex((line) => line.includes('"entry"')) + stage.random.int(0, 4);
    const line = JSON.parse(lines[at] ?? '{}') as { entry: string; id: string };
    const bytes = Buffer.from(line.entry, 'hex');
    const bit = stage.random.int(0, bytes.length * 8 - 1);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const flipped = path.join(stage.folder, 'flipped.jsonl');
    await writeFile(
      flipped,
      `${lines.with(at, JSON.stringify({ ...line, entry: bytes.toString('hex') })).join('\n')}\n`,
    );
    const refused = await stage.gogrid(['ledger', 'verify', flipped, '--json']);
    expect(refused.code).toBe(1);
    const { valid, problems } = JSON.parse(refused.stdout);
    expect(valid).toBe(false);
    expect(problems[0]).toMatchObject({ line: at + 1, id: line.id });
  },
);

scenario(
  'writers killed in the middle of their appends lose nothing and fork nothing (R2)',
  { within: 180_000 },
  async (stage) => {
    const tell = (line: string) => void process.stdout.write(`${line}\n`);
    const options = { kills: 12, seed: thisRun().seed, writers: 2, tell };
    const { violations, kills, acknowledged, unanswered } = await ledgerChaos(await CreditMesh.found(stage), options);
    tell(`${kills} kills, ${acknowledged} acknowledged, ${unanswered} stand whose answer was cut off`);
    expect(violations).toEqual([]);
    expect(acknowledged).toBeGreaterThan(kills);
  },
);
