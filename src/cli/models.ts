/** `gogrid models` */

import type { Model, ModelList, PeerList } from '../contract/control.ts';
import type { ModelRemoved, PullList, PullState, PullSuccess } from '../contract/pulls.ts';
import { GoGridError, isErrorCode } from '../errors.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { connect, errorIn, type NodeClient } from './node-client.ts';
import { spelled } from './program.ts';
import { ProgressBar } from './progress-bar.ts';
import { canAsk, confirmed } from './question.ts';
import { type Cell, type Column, renderTable } from './table.ts';
import { formatBytes, formatParameters, idText, jsonFor, printable, shellWord } from './text.ts';
import { waitingSentence } from './which-model.ts';

export async function run(call: Call): Promise<number> {
  const [action = 'list', name, ...more] = call.words;
  if (action === 'list' && name === undefined) return list(call);
  if (action === 'pull' || action === 'rm') {
    if (name === undefined || more.length > 0) throw usage(`models ${action} wants the name of one model`, 'models');
    return action === 'pull' ? pull(call, name) : remove(call, name);
  }
  throw usage(`models cannot '${call.words.join(' ')}'`, 'models');
}

/* ---- list ---- */

async function list(call: Call): Promise<number> {
  const node = await connect(call.home);
  const answer = await node.ask<ModelList>({ path: '/model/list' });
  if (call.json) {
    printJson(call, answer);
    return 0;
  }
  const { stdout } = call.world;
  if (answer.models.length > 0) {
    const { peers } = await node.ask<PeerList>({ path: '/mesh/peers' });
    const names = new Map(peers.map((peer) => [peer.peerId, peer.name]));
    stdout.write(renderTable(MODEL_COLUMNS, modelRows(answer.models, names, stdout.columns), sheetOf(call)));
  }
  const waiting = answer.models.length === 0 ? await waitingSentence(node, call.home.flags) : undefined;
  if (waiting !== undefined) stdout.write(`${spelled(waiting, call.world.program)}\n`);
  const coming = await pullsOnTheWay(node);
  for (const line of coming) stdout.write(`${line}\n`);
  if (answer.models.length === 0 && coming.length === 0) {
    const command = spelled('gogrid models pull smollm2:135m', call.world.program);
    stdout.write(`No machine of the mesh has a model. Get a small one (98 MB) with: ${command}${call.home.flags}\n`);
  }
  return 0;
}

/** A sentence for each. */
async function pullsOnTheWay(node: NodeClient): Promise<string[]> {
  const { pulls } = await node.ask<PullList>({ path: '/model/pull/progress' });
  return pulls
    .filter((pull) => pull.endedAt === null)
    .map(({ model, bytes, totalBytes, source }) => {
      const amount =
        totalBytes > 0 && bytes > 0 ? `: ${formatBytes(bytes)} of ${formatBytes(totalBytes)} are here` : '';
      return `${printable(model)} is on its way${source === '' ? '' : ` from ${printable(source)}`}${amount}.`;
    });
}

const MODEL_COLUMNS: readonly Column[] = [
  { title: 'MODEL', shrinks: true },
  { title: 'WHERE', shrinks: true },
  { title: 'SIZE', align: 'right' },
  { title: 'PARAMETERS', align: 'right' },
  { title: 'QUANTISATION' },
  { title: 'CONTEXT', align: 'right' },
  { title: 'LOADED' },
  { title: 'CAN', shrinks: true },
];

/** One row per model; `names` are those of the peers, by id. Ids are whole where `columns` is undefined. */
export function modelRows(
  models: readonly Model[],
  names: ReadonlyMap<string, string>,
  columns: number | undefined,
): Cell[][] {
  return models.map((model) => [
    model.name,
    whereCell(model, names, columns),
    formatBytes(model.sizeBytes),
    formatParameters(model.parameterCount),
    model.quantisation === '' ? '-' : model.quantisation,
    model.contextLength > 0 ? String(model.contextLength) : '-',
    model.warm ? { text: 'yes', style: 'green' } : 'no',
    model.capabilities.join(', '),
  ]);
}

const SHOWN_PEERS = 3;

/** `providers` are all machines that run it; what is no peer is this machine. */
function whereCell(model: Model, names: ReadonlyMap<string, string>, columns: number | undefined): Cell {
  const others = model.providers.filter((id) => names.has(id) || !model.local);
  const named = others.slice(0, SHOWN_PEERS).map((id) => names.get(id) || idText(id, columns));
  const more = others.length > SHOWN_PEERS ? [`${others.length - SHOWN_PEERS} more`] : [];
  const text = [...(model.local ? ['here'] : []), ...named, ...more].join(', ');
  return model.local ? { text, style: 'green' } : text;
}

/* ---- pull ---- */

async function pull(call: Call, name: string): Promise<number> {
  const { world } = call;
  const node = await connect(call.home);
  const aborter = new AbortController();
  const stopListening = world.onSignal(() => aborter.abort());
  const bar = new ProgressBar(world);
  let latest: PullState | undefined;
  try {
    const body = { model: name };
    const stream = await node.stream({ method: 'POST', path: '/model/pull', body, signal: aborter.signal });
    for await (const line of stream.lines) {
      const step = readStep(line);
      if (call.json) world.stdout.write(`${jsonFor(world.stdout, line)}\n`);
      if (step.status === 'success') {
        bar.clear();
        if (!call.json) world.stdout.write(arrived(call, name, step as PullSuccess));
        return 0;
      }
      latest = step as PullState;
      if (!call.json) bar.show(latest);
    }
    throw new GoGridError({ code: 'provider_lost', message: 'the node ended in the middle of the pull' });
  } catch (thrown) {
    bar.clear();
    throw aborter.signal.aborted ? cancelled(name, latest) : thrown;
  } finally {
    stopListening();
  }
}

/** @throws GoGridError with the code that the node sent */
function readStep(line: string): { readonly status: string } {
  const failed = errorIn(line);
  if (failed !== undefined) {
    const { code, message, hint } = failed;
    const known = code !== undefined && isErrorCode(code) ? code : 'engine_failed';
    throw new GoGridError({ code: known, message, ...(hint === undefined ? {} : { hint }) });
  }
  try {
    return JSON.parse(line) as { status: string };
  } catch (thrown) {
    throw new GoGridError({ code: 'internal', message: 'the node sent a line that is not JSON', cause: thrown });
  }
}

function arrived(call: Call, name: string, { source }: PullSuccess): string {
  const { flags } = call.home;
  const ask = spelled(`gogrid run ${shellWord(name)} "Why is the sky blue?"${flags}`, call.world.program);
  const chat = spelled(`gogrid chat ${shellWord(name)}${flags}`, call.world.program);
  const from = source === '' ? '' : ` (${printable(source)})`;
  return `${printable(name)} is here${from}. Try it: ${ask}\nOr talk to it: ${chat}\n`;
}

function cancelled(name: string, latest: PullState | undefined): GoGridError {
  const lost = latest?.source === 'pip' && latest.state === 'downloading';
  return new GoGridError({
    code: 'cancelled',
    message: `the pull of ${name} was cancelled`,
    hint: lost
      ? 'pip cannot go on in the middle of a file: the next pull through it begins anew'
      : 'what is there already is kept: the same command goes on with it',
  });
}

/* ---- rm ---- */

async function remove(call: Call, name: string): Promise<number> {
  const { world } = call;
  const node = await connect(call.home);
  const asks = canAsk(call) && !call.flags.has('yes');
  if (asks && !(await confirmed(call, `Remove ${printable(name)} from this machine? [y/N] `))) {
    world.stdout.write('Nothing was removed.\n');
    return 1;
  }
  const answer = await node.ask<ModelRemoved>({ method: 'DELETE', path: `/model/${encodeURIComponent(name)}` });
  if (call.json) printJson(call, answer);
  else world.stdout.write(`${printable(answer.model)} is no longer on this machine.\n`);
  return 0;
}
