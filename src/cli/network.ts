/** `gogrid network`: the mesh of this home. A new one is made here; its founder reissues it, with or without a node. */

import { peerAddress } from '../config/checks.ts';
import type { AdmissionRule, Network, NetworkChanges } from '../contract/network.ts';
import { toGoGridError } from '../errors.ts';
import { DESCRIPTOR } from '../limits/mesh.ts';
import { SHOWN } from '../limits/program.ts';
import { usage } from './arguments.ts';
import { type Call, flagOf, printJson, sheetOf } from './command.ts';
import { creditsText } from './credits-text.ts';
import { connect, type NodeClient } from './node-client.ts';
import { resolveSettings } from './settings.ts';
import { type Cell, renderFacts } from './table.ts';
import { cut, printable, shellWord } from './text.ts';

const RULES: readonly AdmissionRule[] = ['all', 'confirm', 'members'];
/** Which flags go with which action; the others would be ignored, which is worse than a refusal. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  create: ['name', 'genesis', 'admission', 'bootstrap', 'witness'],
  show: [],
  reissue: ['admission', 'bootstrap'],
};

export async function run(call: Call): Promise<number> {
  const [action = 'show', ...more] = call.words;
  const flags = FLAGS[action];
  if (flags === undefined || more.length > 0) throw usage(`network cannot '${call.words.join(' ')}'`, 'network');
  for (const name of ['name', 'genesis', 'admission', 'bootstrap', 'witness']) {
    if (call.flags.has(name) && !flags.includes(name)) throw usage(`network ${action} takes no --${name}`, 'network');
  }
  if (action === 'create') return create(call);
  return action === 'reissue' ? reissue(call) : show(call);
}

/* ---- create ---- */

async function create(call: Call): Promise<number> {
  const name = flagOf(call, 'name');
  if (name === undefined) throw usage('network create needs a name for the mesh: --name NAME', 'network');
  const mesh = await call.home.mesh.create({
    name,
    genesisMicrocredits: genesisOf(flagOf(call, 'genesis')),
    terms: { bootstrap: bootstrapOf(call) ?? [], admission: admissionOf(call) ?? 'all' },
    witnesses: listOf(call, 'witness') ?? [],
    createdAt: call.world.now(),
  });
  if (call.json) printJson(call, mesh);
  else call.world.stdout.write(createdText(call, mesh));
  return 0;
}

/** Microcredits pass 2^53, so they stay text until they are a bigint. */
function genesisOf(text: string | undefined): bigint {
  if (text === undefined) return 0n;
  const amount = /^[0-9]{1,19}$/.test(text.trim()) ? BigInt(text.trim()) : -1n;
  if (amount >= 0n && amount <= DESCRIPTOR.maxGenesisMicrocredits) return amount;
  throw usage(
    `--genesis '${text}' is not a whole number of microcredits (a million to the credit) from 0 to ${DESCRIPTOR.maxGenesisMicrocredits}`,
    'network',
  );
}

function admissionOf(call: Call): AdmissionRule | undefined {
  const text = flagOf(call, 'admission');
  const rule = RULES.find((each) => each === text);
  if (text !== undefined && rule === undefined) {
    throw usage(`--admission '${text}' is none of ${RULES.join(', ')}`, 'network');
  }
  return rule;
}

/** The flag may come several times, and hold several items parted by commas, as settings do. */
function listOf(call: Call, flag: string): string[] | undefined {
  const texts = call.flags.get(flag)?.flatMap((text) => text.split(','));
  return texts && [...new Set(texts.map((text) => text.trim()).filter((text) => text !== ''))];
}

function bootstrapOf(call: Call): string[] | undefined {
  const addresses = listOf(call, 'bootstrap');
  for (const address of addresses ?? []) {
    const problem = peerAddress(address);
    if (problem !== undefined) throw usage(`--bootstrap '${cut(address, SHOWN.maxValueChars)}' ${problem}`, 'network');
  }
  return addresses;
}

function createdText(call: Call, mesh: Network): string {
  const { home, world, paint } = call;
  const file = shellWord(mesh.file ?? '');
  const { program } = world;
  const lines = [
    `The mesh '${printable(mesh.name)}' is made, and this home holds the key of its founder.`,
    '',
    renderFacts(facts(mesh), sheetOf(call)).trimEnd(),
    '',
    paint('bold', 'Its first node:'),
    `  ${program} up${home.flags}`,
    paint('bold', 'Every other node, with a copy of that file:'),
    `  ${program} up --network-descriptor ${file}`,
    ...(mesh.bootstrap.length > 0
      ? []
      : [
          paint('bold', 'So that they find it without being told where, put an address of it into the file:'),
          `  ${program} network reissue${home.flags} --bootstrap ADDRESS`,
          `  (an address from \`${program} status${home.flags}\`; then give them the file)`,
        ]),
    '',
    'Keep a copy of identity.key in a safe place: without it nobody can reissue this mesh.',
    '',
  ];
  return lines.join('\n');
}

/* ---- show ---- */

async function show(call: Call): Promise<number> {
  const mesh = await ask(
    call,
    (node) => node.ask<Network>({ path: '/network' }),
    async () => call.home.mesh.show(await descriptorSetting(call)),
  );
  if (call.json) printJson(call, mesh.answer);
  else call.world.stdout.write(renderFacts(facts(mesh.answer), sheetOf(call)));
  return 0;
}

function facts(mesh: Network): (readonly [string, Cell])[] {
  const founder = mesh.founder === null ? 'none: this mesh is part of the program' : mesh.founder;
  return [
    ['mesh', { text: mesh.name, style: 'green' }],
    ['network id', mesh.networkId],
    ['founder', mesh.isFounder ? `${founder} (this home)` : founder],
    ...(mesh.createdAt === null ? [] : ([['made', new Date(mesh.createdAt).toISOString()]] as const)),
    ['credits', mesh.genesisMicrocredits === '0' ? 'none' : genesisText(mesh.genesisMicrocredits)],
    ['revision', String(mesh.revision)],
    ['admission', mesh.founder === null ? LOCAL_ADMISSION : mesh.admission],
    ...(mesh.pendingRestart?.includes('admission') === true ? ([['', PENDING]] as const) : []),
    ...rows('bootstrap', mesh.bootstrap, 'none: nodes are told where to join, or find one another'),
    ...rows('witnesses', mesh.witnesses, mesh.founder === null ? 'none' : "none named: the founder's node"),
    ...Object.entries(mesh.params).map(
      ([name, value], at) => [at === 0 ? 'params' : '', `${name} = ${value}`] as const,
    ),
    ...(mesh.file === null ? [] : ([['file', mesh.file]] as const)),
  ];
}

/** `1,000,000 credits, in all`: long numbers are read wrong. */
function genesisText(microcredits: string): string {
  return `${creditsText(microcredits).replace(/\B(?<!\.\d*)(?=(\d{3})+(?!\d))/g, ',')}, in all`;
}

const PENDING: Cell = { text: 'the node here goes by the rule before it until it is restarted', style: 'yellow' };
/** Whoever is in the same café is in it too, so each node asks its user. */
const LOCAL_ADMISSION = 'all, but each node lets in only whom its user accepts, unless network.accept is all';

function rows(title: string, texts: readonly string[], none: string): (readonly [string, Cell])[] {
  if (texts.length === 0) return [[title, { text: none, style: 'dim' }]];
  return texts.map((text, at) => [at === 0 ? title : '', text]);
}

/* ---- reissue ---- */

async function reissue(call: Call): Promise<number> {
  const bootstrap = bootstrapOf(call);
  const admission = admissionOf(call);
  if (bootstrap === undefined && admission === undefined) {
    throw usage('network reissue changes nothing: give it --bootstrap or --admission', 'network');
  }
  const changes: NetworkChanges = {
    ...(bootstrap === undefined ? {} : { bootstrap }),
    ...(admission === undefined ? {} : { admission }),
  };
  const { answer, running } = await ask(
    call,
    (node) => node.ask<Network>({ method: 'POST', path: '/network/reissue', body: changes }),
    async () => call.home.mesh.reissue(await descriptorSetting(call), changes),
  );
  if (call.json) printJson(call, answer);
  else call.world.stdout.write(reissuedText(call, answer, running));
  return 0;
}

function reissuedText(call: Call, mesh: Network, running: boolean): string {
  const then = running
    ? 'The node here uses it from now on, and the nodes that are up learn of it within seconds; others when they connect.'
    : `The mesh learns of it when this node runs: ${call.world.program} up${call.home.flags}`;
  const rule = call.flags.has('admission') ? ['A node goes by another admission rule from its next start on.'] : [];
  return `${[`Revision ${mesh.revision} of the mesh '${printable(mesh.name)}' is signed (${mesh.file}).`, then, ...rule].join('\n')}\n`;
}

/* ---- the node, or the home alone ---- */

interface Asked {
  readonly answer: Network;
  /** By the running node. */
  readonly running: boolean;
}

async function ask(
  call: Call,
  ofNode: (node: NodeClient) => Promise<Network>,
  ofHome: () => Promise<Network>,
): Promise<Asked> {
  if ((await call.home.mark())?.alive === true) {
    try {
      return { answer: await ofNode(await connect(call.home)), running: true };
    } catch (thrown) {
      // The mark may be of a node that was killed, and its process id another's by now.
      if (toGoGridError(thrown).code !== 'node_not_running') throw thrown;
    }
  }
  return { answer: await ofHome(), running: false };
}

async function descriptorSetting(call: Call): Promise<string> {
  return (await resolveSettings(call)).config.network.descriptor;
}
