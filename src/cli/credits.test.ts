/** The commands of credits and ledger against the real API, with the real ledger behind. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { transferAnswer } from '../contract/credits.ts';
import { auditExport } from '../ledger/audit/audit-export.ts';
import { accountText } from '../ledger/entries/readable.ts';
import { CLI } from '../limits/program.ts';
import { account, certify, FOUNDER, Writer } from '../testing/ledger/authors.ts';
import { type SmallApi, smallApi, testKey, testPeer, testRuntime } from '../testing/small-api.ts';
import { type SmallLedger, smallLedger } from '../testing/small-ledger.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';
import { creditsIn, plainCredits, signedCredits } from './credits-text.ts';

const peerOf = (name: string) => accountText(account(name).id);

let running: SmallApi | undefined;
let node: SmallLedger | undefined;
afterEach(async () => {
  vi.restoreAllMocks();
  await running?.api.stop(0);
  await node?.stop();
  running = undefined;
  node = undefined;
});

const NAMED: readonly (readonly [string, string])[] = [
  ['B', 'kitchen'],
  ['C', 'attic'],
  ['D', 'attic'],
  ['W1', 'seed'],
];

/** The node of `A`, which has 500 final credits; beside it kitchen, of `B`, and two that are both called attic. */
async function start(named = NAMED): Promise<{ ledger: SmallLedger; founder: Writer }> {
  const ledger = await smallLedger();
  node = ledger;
  const founder = new Writer(ledger.mesh, FOUNDER);
  const grant = founder.transfer('A', 500_000_000n, 'grant');
  await ledger.take(grant, ...certify(ledger.mesh, grant));
  const accepted = await ledger.author.accept(grant);
  await ledger.take(...certify(ledger.mesh, accepted));
  const peers = named.map(([id, name]) => ({ ...testPeer, peerId: peerOf(id), name }));
  const identity = { ...testRuntime.identity(), peerId: peerOf('A') };
  const runtime = { ...testRuntime, peers: () => peers, identity: () => identity };
  running = await smallApi({}, { credits: ledger.credits, ledger: ledger.ledger, events: ledger.events, runtime });
  return { ledger, founder };
}

async function gogrid(args: string | readonly string[], more: SmallWorldOptions & { typed?: string } = {}) {
  const words = typeof args === 'string' ? args.split(' ') : args;
  const small = smallWorld(words, {
    ...(running !== undefined && { node: { api: running.url, key: testKey } }),
    ...more,
  });
  if (more.typed !== undefined) small.type(more.typed);
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr() };
}

const terminal = { columns: 120, env: { NO_COLOR: '1' } };

describe('amounts', () => {
  it.each([
    ['1', 1_000_000n],
    ['1.5', 1_500_000n],
    ['0.000001', 1n],
    [' 12.345678 ', 12_345_678n],
    ['9223372036854.775807', 9_223_372_036_854_775_807n],
  ])('%s is %i microcredits', (text, amount) => {
    expect(creditsIn(text)).toBe(amount);
    expect(creditsIn(plainCredits(String(amount)))).toBe(amount);
  });

  it.each(['', '0', '0.0', '-1', '1,5', '1.', '.5', '1.0000001', '1e3', '0x10', 'many', '1 5', '99999999999999'])(
    "'%s' is none",
    (text) => {
      expect(() => creditsIn(text)).toThrow(expect.objectContaining({ code: 'usage' }));
    },
  );

  it.each([
    ['1,5', 'write 1.5, with a point'],
    ['1.0000001', 'more than 6 digits behind the point'],
    ['99999999999999', 'more than there can be'],
    ['0.0', 'above 0'],
    ['-3', 'above 0'],
    ['1e3', 'a plain decimal number above 0'],
  ])("'%s' is told why it is none", (text, why) => {
    expect(() => creditsIn(text)).toThrow(why);
  });

  it('are shown without zeros that say nothing, and with a sign where they came or went', () => {
    expect(['0', '1', '-1500000', '1000000', '-1'].map(plainCredits)).toEqual([
      '0',
      '0.000001',
      '-1.5',
      '1',
      '-0.000001',
    ]);
    expect(['0', '2500000', '-2500000'].map(signedCredits)).toEqual(['0', '+2.5', '-2.5']);
  });
});

describe('credits', () => {
  it('shows the balance, what is set aside and promised, and what came and went (E15, G36)', async () => {
    const { ledger, founder } = await start();
    await ledger.author.hold([{ payee: account('B').id, max: 20_000_000n }]);
    await gogrid('credits transfer kitchen 1.5 --yes');
    await ledger.take(founder.transfer('A', 250_000n));
    const { code, out, err } = await gogrid('credits', terminal);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^available +478\.5 credits$/m);
    expect(out).toMatch(/^reserved +20 credits, set aside for others/m);
    expect(out).toMatch(/^promised +1\.5 credits, sent or promised to others/m);
    expect(out).toMatch(/^pending +0\.25 credits, sent or promised by others/m);
    expect(out).toMatch(/^today +0 +0 +500 +1\.5$/m);
    expect(out).toMatch(/^30 days +0 +0 +500 +1\.5$/m);
    expect(out).not.toContain('signs nothing');
  });

  it('is the answer of the API for programs', async () => {
    await start();
    expect(JSON.parse((await gogrid('credits balance --json')).out)).toMatchObject({
      availableMicrocredits: '500000000',
    });
    expect(JSON.parse((await gogrid('credits history --json')).out)).toMatchObject({
      entries: [{ kind: 'accept' }],
      next: null,
    });
  });

  it('says in words what became of each: final, waiting, lost, void', async () => {
    const { ledger, founder } = await start();
    const b = new Writer(ledger.mesh, 'B');
    const seed = founder.transfer('B', 100_000_000n);
    const booked = b.accept(seed);
    const toA = b.transfer('A', 90_000_000n, 'rent\u001b[2J');
    await ledger.take(seed, booked, toA, ...[seed, booked].flatMap((entry) => certify(ledger.mesh, entry)));
    await ledger.author.accept(toA);
    await gogrid('credits transfer kitchen 585 --memo cake --yes');
    const stolen = b.behind(booked).transfer('C', 90_000_000n);
    await ledger.take(stolen, ...certify(ledger.mesh, stolen), founder.transfer('A', 3_000_000n));
    const { out } = await gogrid('credits history', terminal);
    const lines = out.split('\n');
    expect(lines.some((line) => /\+3 +on its way here .*waits to be accepted here, not witnessed yet/.test(line))).toBe(
      true,
    );
    expect(lines.some((line) => / 0 +sent +kitchen +cake +void: more than there was/.test(line))).toBe(true);
    expect(lines.some((line) => / 0 +received +kitchen +.*lost: the sender spent it twice/.test(line))).toBe(true);
    expect(lines.some((line) => /\+500 +received .* grant +final/.test(line))).toBe(true);
    expect(out).not.toContain('\u001b');
  });

  it('says that nothing came or went yet, and why nothing is signed', async () => {
    const ledger = await smallLedger();
    node = ledger;
    running = await smallApi({}, { credits: ledger.credits, ledger: ledger.ledger });
    expect((await gogrid('credits history')).out).toBe('No credits have come or gone yet.\n');
    expect((await gogrid('credits')).out).toMatch(/^available +0 credits$/m);
  });

  it('history has as many lines as were asked for', async () => {
    const { ledger, founder } = await start();
    for (let count = 0; count < 3; count++) await ledger.take(founder.transfer('A', 5n));
    await ledger.author.hold(['B', 'C', 'D'].map((name) => ({ payee: account(name).id, max: 5n })));
    for (const limit of [1, 2, 3, 4]) {
      const { out } = await gogrid(`credits history --limit ${limit}`, terminal);
      expect(out.trimEnd().split('\n')).toHaveLength(1 + limit + 1);
      expect(out).toContain('and older ones');
    }
  });

  it('has a way to say that the mesh has none', async () => {
    running = await smallApi();
    const { code, err } = await gogrid('credits');
    expect(code).toBe(1);
    expect(err).toContain('this mesh has no credits');
    expect(err).toContain('gogrid network create --genesis');
    expect((await gogrid('credits transfer nobody 1 --yes')).err).toContain('this mesh has no credits');
  });
});

describe('credits transfer', () => {
  it('asks on a terminal, and sends when the answer is yes', async () => {
    const { ledger } = await start();
    const no = await gogrid('credits transfer kitchen 1.5', { ...terminal, typed: 'n' });
    expect(no).toMatchObject({ code: 1, out: expect.stringContaining('Nothing was sent.') });
    expect(no.out).toContain(`1.5 credits to kitchen (${peerOf('B')}).`);
    const yes = await gogrid(['credits', 'transfer', 'kitchen', '1.5', '--memo', 'for cake'], {
      ...terminal,
      typed: 'y',
    });
    expect(yes).toMatchObject({ code: 0, err: '' });
    expect(yes.out).toContain('Sent 1.5 credits to kitchen.');
    expect(ledger.ingest.ledger.openTransfersOf(account('A').id)).toMatchObject([
      { amount: 1_500_000n, to: account('B').id },
    ]);
  });

  it('needs --yes where nobody can be asked, and sends nothing without', async () => {
    const { ledger } = await start();
    for (const more of [{}, { columns: 80, stdin: 'y\n' }]) {
      const { code, err } = await gogrid('credits transfer kitchen 1', more);
      expect(code).toBe(2);
      expect(err).toContain('--yes');
    }
    expect((await gogrid('credits transfer kitchen 1 --json')).code).toBe(2);
    expect(ledger.ingest.ledger.openTransfersOf(account('A').id)).toEqual([]);
    const { out } = await gogrid('credits transfer kitchen 1 --yes --json');
    expect(transferAnswer.parse(JSON.parse(out))).toMatchObject({ amountMicrocredits: '-1000000', partyName: '' });
  });

  it('the command that it hints at has the memo, for the shell', async () => {
    await start();
    const args = ['credits', 'transfer', 'kitchen', '1', '--memo', "for Anna's cake"];
    const { err } = await gogrid(args);
    expect(err).toContain(`gogrid credits transfer ${peerOf('B')} 1 --memo='for Anna'\\''s cake' --yes`);
  });

  it('takes the short form of an id that tables show, and no other part of one', async () => {
    const { ledger } = await start();
    const id = peerOf('B');
    expect(await gogrid(`credits transfer ${id.slice(0, 8)}…${id.slice(-6)} 1 --yes`)).toMatchObject({ code: 0 });
    for (const part of [id.slice(0, 20), id.slice(-6), id.slice(-20), `1…${id.slice(-6)}`, `${id.slice(0, 8)}…`, '…']) {
      const { code, err } = await gogrid(`credits transfer ${part} 1 --yes`);
      expect({ part, code }).toEqual({ part, code: 1 });
      expect(err).toContain(`there is no peer '${part}'`);
    }
    expect(ledger.ingest.ledger.openTransfersOf(account('A').id)).toHaveLength(1);
  });

  it('sends nothing to a machine without a name, even when it is the only one', async () => {
    const { ledger } = await start([['B', '']]);
    for (const name of ['', ' ', '…']) {
      expect((await gogrid(['credits', 'transfer', name, '1', '--yes'])).code).not.toBe(0);
    }
    expect(ledger.ingest.ledger.openTransfersOf(account('A').id)).toEqual([]);
  });

  it('a name that is somebody’s short id pays nobody', async () => {
    const short = `${peerOf('Z').slice(0, 8)}…${peerOf('Z').slice(-6)}`;
    const { ledger } = await start([['B', short]]);
    expect((await gogrid(['credits', 'transfer', short, '1', '--yes'])).code).toBe(1);
    expect(ledger.ingest.ledger.openTransfersOf(account('A').id)).toEqual([]);
  });

  it('asks again when no answer comes, and sends once', async () => {
    const { ledger } = await start();
    const timers: AbortController[] = [];
    vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => {
      timers.push(new AbortController());
      return timers.at(-1)?.signal ?? AbortSignal.any([]);
    });
    const make = ledger.credits.transfer;
    vi.spyOn(ledger.credits, 'transfer').mockImplementationOnce(async (order) => {
      await make(order);
      timers.at(-1)?.abort();
      return new Promise(() => {});
    });
    expect(await gogrid('credits transfer kitchen 5 --yes')).toMatchObject({ code: 0, err: '' });
    expect(ledger.credits.transfer).toHaveBeenCalledTimes(2);
    expect(ledger.ingest.ledger.openTransfersOf(account('A').id)).toHaveLength(1);
  });

  it('says that nobody knows when no answer comes at all', async () => {
    const { ledger } = await start();
    const timers: AbortController[] = [];
    vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => {
      timers.push(new AbortController());
      return timers.at(-1)?.signal ?? AbortSignal.any([]);
    });
    vi.spyOn(ledger.credits, 'transfer').mockImplementation(() => {
      timers.at(-1)?.abort();
      return new Promise(() => {});
    });
    const { code, err } = await gogrid('credits transfer kitchen 5 --yes');
    expect(code).toBe(1);
    expect(err).toContain('whether the credits were sent is not known');
    expect(err).toContain('gogrid credits history');
    expect(ledger.credits.transfer).toHaveBeenCalledTimes(CLI.transferAttempts);
  });

  it('grant is a transfer that says so', async () => {
    const { ledger } = await start();
    expect(await gogrid('credits grant kitchen 5 --yes')).toMatchObject({ code: 0, err: '' });
    const [sent] = ledger.ingest.ledger.openTransfersOf(account('A').id);
    expect(ledger.ingest.ledger.find(sent?.name.id ?? '')?.body).toMatchObject({ memo: 'grant', amount: 5_000_000n });
  });

  it('takes a whole id of somebody who was never seen when it is told to', async () => {
    const { ledger } = await start();
    const refused = await gogrid(`credits transfer ${peerOf('Z')} 1 --yes`);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain(`${peerOf('Z')} is unknown here`);
    expect(refused.err).toContain('add --unknown-account');
    expect(ledger.ingest.ledger.openTransfersOf(account('A').id)).toEqual([]);
    expect((await gogrid(`credits transfer ${peerOf('Z')} 1 --unknown-account`)).err).toContain(
      `credits transfer ${peerOf('Z')} 1 --unknown-account --yes`,
    );
    expect(await gogrid(`credits transfer ${peerOf('Z')} 1 --yes --unknown-account`)).toMatchObject({ code: 0 });
  });

  it.each([
    ['credits transfer kitchen', 2, /wants a machine and an amount/],
    ['credits transfer kitchen 1 2 --yes', 2, /wants a machine and an amount/],
    ['credits transfer kitchen nothing --yes', 2, /is not an amount of credits/],
    ['credits transfer cellar 1 --yes', 1, /no peer 'cellar'/],
    ['credits transfer attic 1 --yes', 2, /'attic' is 2 peers/],
    ['credits transfer testbox 1 --yes', 2, /this machine itself/],
    ['credits transfer kitchen 501 --yes', 5, /501/],
    ['credits balance --yes', 2, /balance takes no --yes/],
    ['credits grant kitchen 1 --memo x', 2, /grant takes no --memo/],
    ['credits give', 2, /cannot 'give'/],
    ['credits transfer kitchen -3 --yes', 2, /amounts and counts are above 0/],
    ['credits history --unknown-account', 2, /history takes no --unknown-account/],
    ['ledger verify --force', 2, /verify takes no --force/],
    ['credits history --limit 0', 2, /--limit/],
    ['ledger burn', 2, /cannot 'burn'/],
    ['ledger show', 2, /cannot 'show'/],
  ])('%s ends with %i', async (args, code, message) => {
    await start();
    const answer = await gogrid(args);
    expect(answer.code).toBe(code);
    expect(answer.err).toMatch(message);
  });
});

describe('ledger', () => {
  it('shows what this node holds, its own log, the witnesses and who signed twice', async () => {
    const { ledger, founder } = await start();
    const tip = founder.tip;
    await ledger.take(founder.transfer('B', 5n), founder.behind(tip).transfer('C', 5n));
    const { code, out } = await gogrid('ledger', terminal);
    expect(code).toBe(0);
    expect(out).toMatch(/^entries +2, of 2 accounts$/m);
    expect(out).toMatch(/^digest +[0-9a-f]{64}$/m);
    expect(out).toMatch(/^own log +up to entry 0, final$/m);
    expect(out).toMatch(/^signing +ready to sign$/m);
    expect(out).toMatch(/^witnesses +seed \(12D3KooW…\w+\), not connected$/m);
    expect(out).toContain('an entry needs 3 of 4 to become final');
    expect(out).toMatch(/^forks .* signed entry 1 twice: its log is cut there$/m);
    expect(JSON.parse((await gogrid('ledger --json')).out)).toMatchObject({ entries: 2, forked: 1 });
  });

  it('says of a node that is a witness why it signs nothing as one', async () => {
    const reason = 'another process attests with its key';
    node = await smallLedger({ self: 'W1', witness: { state: () => ({ state: 'stopped', reason, since: 1 }) } });
    const identity = { ...testRuntime.identity(), peerId: peerOf('W1') };
    const runtime = { ...testRuntime, identity: () => identity };
    running = await smallApi({}, { credits: node.credits, ledger: node.ledger, runtime });
    const { out } = await gogrid('ledger', terminal);
    expect(out).toMatch(/^witnesses +this machine, signs nothing as a witness any more: another process attests/m);
    expect(JSON.parse((await gogrid('ledger --json')).out)).toMatchObject({ witness: { state: 'stopped', reason } });
  });

  it('says what to do where the node signs nothing any more, and so do the credits', async () => {
    const ledger = await smallLedger();
    node = ledger;
    const signing = { state: 'stopped', reason: 'its key is in use elsewhere' } as const;
    const head = async () => ({ ...(await ledger.ledger.head()), signing });
    running = await smallApi({}, { credits: ledger.credits, ledger: { ...ledger.ledger, head } });
    const home = { flags: ' --home /h' };
    const { out } = await gogrid('ledger', { ...terminal, home });
    expect(out).toMatch(/^entries +none yet$/m);
    expect(out).toMatch(
      /^signing +signs nothing any more: its key .* elsewhere\n +gogrid doctor --home \/h says what to do$/m,
    );
    expect((await gogrid('credits', { ...terminal, home })).out).toContain(
      'signs nothing any more: its key is in use elsewhere. What to do: gogrid doctor --home /h',
    );
  });

  it('is verified, and what does not hold is named', async () => {
    const { ledger } = await start();
    const good = await gogrid('ledger verify', terminal);
    expect(good).toMatchObject({ code: 0, err: '' });
    expect(good.out).toContain('2 entries of 2 accounts, 2 final');
    const grant = await firstEntry(ledger);
    const sealed = Uint8Array.from(grant.sealed);
    sealed[sealed.length - 1]! ^= 1;
    await ledger.store.write({ entries: [{ ...grant, sealed }] }, true);
    const bad = await gogrid('ledger verify', terminal);
    expect(bad.code).toBe(1);
    expect(bad.out).toContain('The ledger of this node does not hold:');
    expect(bad.out).toMatch(/entry 0 of 12D3KooW….*signature/);
    expect(JSON.parse((await gogrid('ledger verify --json')).out)).toMatchObject({ valid: false });
  });

  it('is exported, to a file or to standard output, and that is checked without a node', async () => {
    await start();
    const saved = new Map<string, string>();
    const { code, out } = await gogrid('ledger export l.jsonl', { saved });
    expect(code).toBe(0);
    const text = saved.get('l.jsonl') ?? '';
    expect(out).toContain(`The ledger is in l.jsonl: ${text.trimEnd().split('\n').length} lines.`);
    expect(out).toContain('gogrid ledger verify l.jsonl');
    expect(await gogrid('ledger export l.jsonl', { saved })).toMatchObject({ code: 2 });
    expect(await gogrid('ledger export l.jsonl --force', { saved })).toMatchObject({ code: 0 });
    const printed = (await gogrid('ledger export')).out;
    for (const each of [text, printed]) {
      const result = await auditExport(async function* chunks() {
        yield Buffer.from(each);
      });
      expect(result).toMatchObject({ valid: true, entries: 2 });
    }
  });

  it('an export is verified without a node and without a home', async () => {
    const answer = {
      valid: true,
      entries: 2,
      attestations: 8,
      authors: 2,
      final: 2,
      digest: 'ab'.repeat(32),
      problems: [],
      forks: [],
      network: 'home',
      networkId: 'cd'.repeat(32),
      madeAt: 1_700_000_000_000,
      genesisMicrocredits: '20000000',
      onTheWayMicrocredits: '500000',
      reservedMicrocredits: '7000000',
      accounts: Array.from({ length: 12 }, (_, at) => ({
        account: at === 0 ? peerOf('A') : `other ${at}`,
        availableMicrocredits: at === 0 ? '1500000' : '1000000',
        finalMicrocredits: at === 0 ? '0' : '1000000',
      })),
    };
    const files: string[] = [];
    const auditLedger = async (file: string) => {
      files.push(file);
      return answer;
    };
    const { code, out } = await gogrid('ledger verify l.jsonl', { auditLedger });
    expect(code).toBe(0);
    expect(files).toEqual(['l.jsonl']);
    expect(out).toContain(`${peerOf('A')}  1.5 (0 of it final)`);
    expect(out).toMatch(/^ +… and 2 more accounts, together 2$/m);
    expect(out).toMatch(/^on the way +0\.5, sent and not booked yet$/m);
    expect(out).toMatch(/^reserved +7, set aside for others$/m);
    expect(out).toMatch(/^in all +20 of the 20 credits that this mesh was made with$/m);
    const problems = [{ what: 'it is not JSON', line: 7 }];
    const bad = await gogrid('ledger verify l.jsonl', {
      auditLedger: async () => ({ ...answer, valid: false, problems }),
    });
    expect(bad.code).toBe(1);
    expect(bad.out).toContain('line 7: it is not JSON');
    const nothing = { valid: false, problems, networkId: '', entries: 0, attestations: 0 };
    const other = await gogrid('ledger verify l.jsonl', { auditLedger: async () => ({ ...answer, ...nothing }) });
    expect(other.out).toBe('This file does not hold:\n\n  line 7: it is not JSON\n');
  });
});

async function firstEntry(
  ledger: SmallLedger,
): Promise<{ author: string; sequence: number; id: string; sealed: Uint8Array }> {
  for await (const entry of ledger.store.chain(account(FOUNDER).id, 0)) return entry;
  throw new Error('no entry');
}
