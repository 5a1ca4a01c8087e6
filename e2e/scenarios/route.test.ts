/** Where a question would go, where one went, and why: told by the API and by the command line, of real machines. */

import { describe, expect, test } from 'vitest';
import { explanation } from '../../src/contract/explanation.ts';
import { startAsking } from '../harness/asking.ts';
import { ask, openai, streamChat } from '../harness/clients.ts';
import { allGenerations, answerTo, generations } from '../harness/expected.ts';
import { scenario, sharedStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const question = (content: string) => ({ model: 'words', messages: ask(content) });

describe('gogrid route', () => {
  const shared = sharedStage('route', async (stage) => ({
    mesh: await stage.mesh([
      {},
      { engine: { tokensPerSecond: 200 } },
      { engine: { tokensPerSecond: 20 } },
      { engine: { models: [{ name: 'other:latest' }] } },
    ]),
  }));
  const route = (...args: string[]) => shared().stage.gogrid(['route', ...args, '--home', shared().mesh.node(0).home]);

  test('weighs as for a real question, and runs and sends nothing', async () => {
    const { mesh } = shared();
    // A measured machine is known for what it is: each has answered once.
    for (const index of [1, 2]) await streamChat(openai(mesh.node(index)), { content: 'measured words=20' });
    const secret = `violet${Date.now()}`;
    const written = async () => (await allGenerations([1, 2].map((index) => mesh.engine(index)))).length;
    const before = await written();
    const jobs = (await mesh.node(0).jobs()).length;
    const fast = mesh.node(1).peerId;
    const told = await until(
      async () => {
        const decision = explanation.parse(await mesh.node(0).post('/route/explain', question(`${secret} words=20`)));
        const [first, second] = decision.candidates;
        // Until both have told their rates, who has told none counts as the other one.
        const bothTold = (first?.expectedMs.decode ?? 0) < (second?.expectedMs.decode ?? 0);
        return bothTold && first?.node === fast && decision.choice === 'fastest' ? decision : undefined;
      },
      { what: 'the news of how fast each machine is' },
    );
    const [first, second] = told.candidates;
    expect(told).toMatchObject({ model: 'words:latest', privacy: 'mesh', priceMicrocredits: '0' });
    expect([first?.name, second?.name]).toEqual(['node-2', 'node-3']);
    expect(told.excluded).toContainEqual(expect.objectContaining({ name: 'node-1', why: 'no-such-model' }));

    const shown = await route('words', '--prompt', `${secret} words=20`);
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toMatch(/^node-2 would answer with words:latest, in about /);
    expect(shown.stdout).toMatch(/^It is expected to be done first, .* before node-3\.$/m);
    expect(shown.stdout).toMatch(/^node-3 +[\d.]+ s/m);
    expect(shown.stdout).toContain('This machine does not have this model.');

    expect(await written(), 'no engine was asked to write').toBe(before);
    expect((await mesh.node(0).jobs()).length, 'it leaves no record').toBe(jobs);
    for (const index of [0, 1, 2, 3]) expect(await mesh.node(index).log()).not.toContain(secret);
    // What was foretold comes true.
    const { provider } = await streamChat(openai(mesh.node(0)), { content: `${secret} words=20` });
    expect(provider).toBe(fast);
  });

  test('says why nobody would answer, and ends as that deserves', async () => {
    const local = await route('words', '--privacy', 'local');
    expect(local).toMatchObject({ code: 5, stdout: expect.stringContaining('Nobody would answer with words:latest') });
    expect(local.stdout).toContain('node-2 and node-3 may not see the prompt');
    const unknown = await route('wordz');
    expect(unknown).toMatchObject({ code: 1, stdout: '' });
    expect(unknown.stderr).toContain("model 'wordz' not found; did you mean 'words'?");
  });

  test('a machine that went away is no candidate', async () => {
    const { mesh } = shared();
    await mesh.node(2).stop();
    await until(async () => !(await route('words')).stdout.match(/^node-3/m), { what: 'node-3 to be left out' });
  });
});

scenario('a job tells why there, how long, and who saw it (N3, E17, G82)', { within: 40_000 }, async (stage) => {
  const engine = { tokensPerSecond: 60 };
  const mesh = await stage.mesh([{}, { engine }, { engine }]);
  const content = `${stage.random.word(8)} words=90`;
  let killed = -1;
  const streamed = await streamChat(openai(mesh.node(0)), {
    content,
    onChunk: async ({ text, provider }) => {
      if (killed >= 0 || text.length < 100) return;
      killed = mesh.indexOf(provider);
      await mesh.node(killed).kill();
    },
  });
  expect(streamed.text).toBe(answerTo(content));
  const other = 3 - killed;
  const [first, second] = [mesh.node(killed), mesh.node(other)];

  const job = await mesh.node(0).job(streamed.job);
  expect(job.seenBy).toEqual([first.peerId, second.peerId]);
  expect(job.decision?.candidates[0]?.node, 'the decision of the last time it was placed').toBe(second.peerId);
  const at = job.attempts[0]?.toToken;

  const shown = await stage.gogrid(['jobs', 'show', streamed.job, '--home', mesh.node(0).home]);
  expect(shown).toMatchObject({ code: 0, stderr: '' });
  expect(shown.stdout).toContain(`of words:latest, by `);
  expect(shown.stdout).toMatch(/^why there .*\n(.*\n)*how long .*\n(.*\n)*who saw it /m);
  expect(shown.stdout).toMatch(
    new RegExp(`At token ${at} \\S+ stopped: the connection to that machine broke, .*; ${second.name} went on`),
  );
  expect(shown.stdout).toMatch(new RegExp(`^who saw it .*and ${second.name}, beside this machine\\.`, 'm'));

  const seen = await stage.gogrid(['jobs', '--seen-by', '--home', mesh.node(0).home]);
  expect(seen.stdout).toMatch(new RegExp(`^${streamed.job} .* \\S+, ${second.name}$`, 'm'));
  const there = await stage.gogrid(['jobs', 'show', streamed.job, '--home', second.home]);
  expect(there.stdout).toContain('node-1, which asked, and this machine, which ran it.');

  // The same to programs, in an answer that is not streamed.
  const { data, response } = await openai(mesh.node(0))
    .chat.completions.create({ ...question('again words=5') })
    .withResponse();
  expect(data).toMatchObject({ x_gogrid: { handovers: 0, cost_microcredits: '0', usage_estimated: false } });
  expect(response.headers.get('x-gogrid-handovers')).toBe('0');
  expect(response.headers.get('x-gogrid-provider')).toBe(second.peerId);
});

scenario('what waits says where, behind how many, and about how long', { within: 40_000 }, async (stage) => {
  const env = { GOGRID_WORKER_MAX_QUEUED_JOBS: '1' };
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 30 } }], { env });
  const [asker, provider] = [mesh.node(0), mesh.node(1)];
  const endless = [0, 1].map((at) => startAsking(asker, 'openai streamed', { content: `${at} words=100000` }));
  const inQueue = async () => (await asker.jobs()).find(({ waiting }) => waiting?.where === 'queue');
  const queued = await until(inQueue, { what: 'one to run, and one to wait there' });
  expect(queued).toMatchObject({ provider: provider.peerId });
  const patient = ['openai whole', 'ollama whole', 'ollama streamed'] as const;
  const contents = patient.map((_, at) => `${stage.random.word(6)} ${at} words=10`);
  const asking = patient.map((way, at) => startAsking(asker, way, { content: contents[at] ?? '' }));
  const inLine = async () => (await asker.jobs()).filter(({ waiting }) => waiting?.where === 'mesh');
  const held = await until(async () => ((await inLine()).length === 3 ? inLine() : undefined), {
    what: 'the others to wait here',
  });
  const status = await asker.status();
  expect(status.waiting).toEqual({ depth: 3, room: 64, models: ['words:latest'] });
  const there = await provider.status();
  expect(there.queue).toMatchObject({ depth: 1, running: 1, lanes: { owner: 0, paid: 1, free: 0 } });
  expect(there.queue.estimateMs).toBeGreaterThan(0);

  const here = await stage.gogrid(['jobs', '--home', asker.home]);
  expect(here.stdout).toMatch(/no machine takes another job of yours now, it is next/);
  expect(here.stdout).toMatch(/no machine takes another job of yours now, 1 before it/);
  expect(here.stdout).toMatch(/1 before it on node-2/);
  expect((await stage.gogrid(['jobs', '--home', provider.home])).stdout).toMatch(
    /it is next on this machine.*for node-1|before it on this machine.*for node-1/,
  );
  expect((await stage.gogrid(['status', '--home', asker.home])).stdout).toMatch(
    /3 jobs of yours wait, since no machine takes another one now: words:latest/,
  );
  expect((await stage.gogrid(['status', '--home', provider.home])).stdout).toMatch(/1 waiting \(1 of peers\)/);

  // Ollama's clients never try again: they are held until there is room, like all others.
  for (const { hangUp } of endless) hangUp();
  const heard = await Promise.all(asking.map(({ ended }) => ended));
  expect(heard.map(({ text }) => text)).toEqual(contents.map((content) => answerTo(content)));
  expect(heard.map(({ status: code }) => code)).toEqual([200, 200, 200]);
  const shown = await stage.gogrid(['jobs', 'show', held[0]?.id ?? '', '--home', asker.home]);
  expect(shown.stdout).toMatch(/For [\d.]+ s no machine took it\./);
});

scenario('a job that waits is cancelled by its id, wherever it is', { within: 30_000 }, async (stage) => {
  const env = { GOGRID_WORKER_MAX_QUEUED_JOBS: '1' };
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 20 } }], { env });
  const asking = [0, 1, 2].map((at) => startAsking(mesh.node(0), 'openai whole', { content: `${at} words=1000` }));
  const ends = asking.map(({ ended }) => ended.then(() => undefined).catch((thrown: unknown) => thrown));
  const jobs = await until(
    async () => {
      const all = await mesh.node(0).jobs();
      const where = (place: string) => all.find(({ waiting }) => waiting?.where === place);
      const [line, queue] = [where('mesh'), where('queue')];
      const running = all.find(({ state, firstTokenAt }) => state === 'running' && firstTokenAt !== null);
      return line && queue && running ? [line, queue, running] : undefined;
    },
    { what: 'a job in each place' },
  );
  for (const { id } of jobs) {
    expect((await stage.gogrid(['jobs', 'cancel', id, '--home', mesh.node(0).home])).code).toBe(0);
    await until(async () => (await mesh.node(0).job(id)).state === 'cancelled', { what: `${id} to be cancelled` });
  }
  for (const error of await Promise.all(ends)) {
    expect(error).toMatchObject({ status: 499, error: { code: 'cancelled', jobId: expect.any(String) } });
  }
  await until(async () => (await mesh.engine(1).report()).totals.open === 0, { what: 'the engine to be free' });
  expect((await generations(mesh.engine(1))).length, 'what was cancelled while it waited was never run').toBe(1);
});
