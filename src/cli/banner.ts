/** What a person reads when a node has started: where it answers, what it can do, and one thing to try. */

import { type Paint, printable, shellWord, shortId } from './text.ts';
import type { MeshFacts } from './world.ts';

export interface BannerFacts {
  readonly version: string;
  /** Such as `http://127.0.0.1:4301`. */
  readonly api: string;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly mesh: MeshFacts;
  /** Names of the models that can be asked for. */
  readonly models: readonly string[];
  /** Names of those that are being fetched. */
  readonly coming: readonly string[];
  readonly engine: { readonly kind: string; readonly state: string; readonly hint?: string | undefined };
  readonly ollamaUrl: string;
  /** Whether the user chose that address. */
  readonly ollamaConfigured: boolean;
  /** How a shell gets the API key, when every request needs it: by `api.require_key`, or where `api.host` lets others in. */
  readonly keyCommand: string | undefined;
  readonly notices: readonly string[];
  /** To be put behind `gogrid` so that the same home is meant. */
  readonly flags: string;
}

const SHOWN_MODELS = 4;
/** Multiaddrs that no other machine can dial. */
const LOOPBACK = /^\/(ip4\/127\.|ip6\/::1\/)/;

export function renderBanner(facts: BannerFacts, paint: Paint): string {
  const lines = [
    '',
    `${paint('bold', `GoGrid ${facts.version}`)} is ready ${paint('dim', `(${shortId(facts.peerId)})`)}`,
    '',
    field('API', paint('green', facts.api), paint),
    field('OpenAI', `${facts.api}/v1  as base URL, ${keyText(facts)}`, paint),
    field('Ollama', `OLLAMA_HOST=${new URL(facts.api).host}  for its clients${keyHint(facts)}`, paint),
    ...modelLines(facts).map((line, index) => field(index === 0 ? 'Models' : '', line, paint)),
    field('Mesh', meshLine(facts), paint),
    ...facts.notices.map((notice, index) =>
      field(index === 0 ? 'Note' : '', paint('yellow', printable(notice)), paint),
    ),
    '',
    ...tryLines(facts),
    paint('dim', `Ctrl-C stops it. In another terminal: gogrid status${facts.flags}`),
    '',
  ];
  return `${lines.join('\n')}\n`;
}

function field(name: string, text: string, paint: Paint): string {
  return `  ${paint('dim', name.padEnd(8))}${text}`;
}

function keyText({ keyCommand }: BannerFacts): string {
  return keyCommand === undefined ? 'any API key' : `with the API key "${keyCommand}"`;
}

function keyHint({ keyCommand }: BannerFacts): string {
  return keyCommand === undefined ? '' : ' that can send the key';
}

/** How other machines come in. In a mesh of its own they need its descriptor, whichever way they find it. */
function meshLine({ addresses, mesh, flags }: BannerFacts): string {
  const name = printable(mesh.name);
  const reachable = addresses.find((address) => !LOOPBACK.test(address));
  if (reachable === undefined) {
    return `${name}: reachable from this machine only; docs/getting-started.md shows how to join a second one`;
  }
  const how = [
    ...(mesh.descriptor === undefined ? [] : [`--network-descriptor ${shellWord(printable(mesh.descriptor))}`]),
    ...(mesh.mdns ? [] : [`--network-bootstrap ${reachable}`]),
  ];
  if (how.length === 0) return `${name}: machines of this network find it by themselves (gogrid peers${flags})`;
  return `${name}: other machines join with ${how.join(' ')}${mesh.descriptor === undefined ? '' : ' (a copy of that file)'}`;
}

function modelLines(facts: BannerFacts): string[] {
  const { models, engine, coming } = facts;
  if (models.length > 0) {
    const names = models.slice(0, SHOWN_MODELS).map(printable).join(', ');
    const more = models.length - SHOWN_MODELS;
    const lines = [more > 0 ? `${names} and ${more} more: gogrid models${facts.flags}` : names];
    if (engine.kind === 'embedded') return [...lines, ...OWN_ENGINE];
    return engine.state === 'unreachable' ? [...lines, ...engineHelp(facts)] : lines;
  }
  if (coming.length > 0) {
    const names = coming.map(printable).join(', ');
    return [`${names} is on its way: it is fetched once, and answers as soon as it is here`, BETTER];
  }
  if (engine.kind === 'none') return ['none here (engine.kind is none); those of other machines appear by themselves'];
  if (engine.kind === 'ollama') return withoutModelInOllama(facts);
  return [
    'none yet; those of other machines appear by themselves',
    `A small one:  gogrid models pull smollm2:135m${facts.flags}`,
    BETTER,
  ];
}

const BETTER = 'Better ones:  install Ollama, https://ollama.com/download; GoGrid notices it by itself';

/** What answers when nothing was installed, and how to get more. */
const OWN_ENGINE = ['by the embedded engine: small, and ready at once', BETTER];

function withoutModelInOllama(facts: BannerFacts): string[] {
  const { state } = facts.engine;
  if (state === 'ready') return ['none yet. Get one with: ollama pull llama3.2'];
  if (state === 'starting') return [`not known yet: Ollama at ${facts.ollamaUrl} has not answered so far`];
  return engineHelp(facts);
}

/** In plain words, for somebody who has never heard of Ollama, and asked for it all the same. */
function engineHelp(facts: BannerFacts): string[] {
  const start = [`Ollama does not answer at ${facts.ollamaUrl}.`];
  if (facts.ollamaConfigured) {
    return [...start, 'Is it running there, and is the address right? It is the setting engine.ollama_url.', LATER];
  }
  return [
    ...start,
    'Not installed?   https://ollama.com/download, then: ollama pull llama3.2',
    'Not running?     ollama serve',
    `Elsewhere?       gogrid config set engine.ollama_url http://HOST:11434${facts.flags}`,
    LATER,
  ];
}

const LATER = 'GoGrid notices by itself when it answers.';

function tryLines(facts: BannerFacts): string[] {
  const [model] = facts.models;
  if (model === undefined) return [];
  return ['Try it:', `  ${askLine(facts.api, model, facts.keyCommand)}`, `  gogrid chat${facts.flags}`, ''];
}

/** A line for the shell that asks a model something. */
export function askLine(api: string, model: string, keyCommand: string | undefined): string {
  const key = keyCommand === undefined ? '' : ` -H "Authorization: Bearer ${keyCommand}"`;
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Why is the sky blue?' }] });
  return `curl ${api}/v1/chat/completions${key} -d ${shellWord(printable(body))}`;
}
