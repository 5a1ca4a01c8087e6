/** `gogrid models` */

import type { Model, ModelList, PeerList } from '../contract/control.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { connect } from './node-client.ts';
import { type Cell, type Column, renderTable } from './table.ts';
import { formatBytes, formatParameters, shortId } from './text.ts';

export async function run(call: Call): Promise<number> {
  const [action = 'list', ...more] = call.words;
  if (action !== 'list' || more.length > 0) throw usage(`models cannot '${call.words.join(' ')}'`, 'models');
  const node = await connect(call.home);
  const answer = await node.ask<ModelList>({ path: '/model/list' });
  if (call.json) {
    printJson(call, answer);
  } else if (answer.models.length === 0) {
    call.world.stdout.write('No machine of the mesh has a model. Get one through Ollama: ollama pull llama3.2\n');
  } else {
    const { peers } = await node.ask<PeerList>({ path: '/mesh/peers' });
    const names = new Map(peers.map((peer) => [peer.peerId, peer.name]));
    call.world.stdout.write(renderTable(MODEL_COLUMNS, modelRows(answer.models, names), sheetOf(call)));
  }
  return 0;
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

/** One row per model; `names` are those of the peers, by id. */
export function modelRows(models: readonly Model[], names: ReadonlyMap<string, string>): Cell[][] {
  return models.map((model) => [
    model.name,
    whereCell(model, names),
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
function whereCell(model: Model, names: ReadonlyMap<string, string>): Cell {
  const others = model.providers.filter((id) => names.has(id) || !model.local);
  const named = others.slice(0, SHOWN_PEERS).map((id) => names.get(id) || shortId(id));
  const more = others.length > SHOWN_PEERS ? [`${others.length - SHOWN_PEERS} more`] : [];
  const text = [...(model.local ? ['here'] : []), ...named, ...more].join(', ');
  return model.local ? { text, style: 'green' } : text;
}
