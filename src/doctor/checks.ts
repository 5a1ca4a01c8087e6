/** Judges facts: what is right, what is wrong, and what to do about it. Pure. */

import type { Diagnosis, Finding } from '../contract/doctor.ts';
import { DOCTOR } from '../limits/program.ts';
import type {
  AbsentFacts,
  CreditFacts,
  FolderFacts,
  MachineFacts,
  NodeFacts,
  PortFacts,
  WaitingFacts,
} from './facts.ts';

/** A running node: what keeps it from being of use to this machine's programs, or to others. */
export function diagnoseNode(node: NodeFacts, machine: MachineFacts): Diagnosis {
  return diagnosis(true, [
    engineFinding(node),
    modelFinding(node),
    apiFinding(node),
    networkFinding(node),
    ...peerFindings(node),
    ...creditFindings(node.credits),
    clockFinding(node),
    ...machineFindings(machine),
  ]);
}

/** Where no node runs: what would keep one from starting, or from being of use. */
export function diagnoseAbsence(absent: AbsentFacts, machine: MachineFacts): Diagnosis {
  return diagnosis(false, [
    absenceFinding(absent),
    configFinding(absent),
    ...absent.ports.map(({ name, facts }) => portFinding(name, facts)),
    ...ollamaFindings(absent),
    ...machineFindings(machine),
  ]);
}

function diagnosis(running: boolean, findings: readonly Finding[]): Diagnosis {
  return { running, healthy: findings.every(({ level }) => level !== 'error'), findings: [...findings] };
}

function found(check: string, level: Finding['level'], message: string, fix?: string): Finding {
  return { check, level, message, ...(fix === undefined ? {} : { fix }) };
}

/* ---- a running node ---- */

function engineFinding({ engine, models }: NodeFacts): Finding {
  const { kind, state, version, hint } = engine;
  const name = `${kind}${version === '' ? '' : ` ${version}`}`;
  if (kind === 'none') return found('engine', 'ok', 'no engine, as engine.kind says: this node only uses others');
  if (state === 'ready') return found('engine', 'ok', `${name} answers`);
  const fix = hint ?? 'start Ollama (`ollama serve`), or say where it is: gogrid config set engine.ollama_url URL';
  if (state === 'starting') return found('engine', 'warn', `${name} has not answered yet`, fix);
  // A node whose models come from others does its work without one.
  return found('engine', models.inMesh > 0 ? 'warn' : 'error', `${name} does not answer`, fix);
}

function modelFinding({ engine, models }: NodeFacts): Finding {
  const { here, inMesh, coming } = models;
  if (inMesh > 0)
    return found('model', 'ok', `${here === 0 ? 'none' : count(here, 'model')} here, ${inMesh} in the mesh`);
  if (coming.length > 0)
    return found('model', 'warn', `no model yet; ${coming.join(', ')} is on its way`, 'wait for it');
  if (engine.kind === 'none') {
    const others =
      'start a machine of the mesh that has one, or let this one run models: gogrid config unset engine.kind';
    return found('model', 'warn', 'no machine of the mesh has a model, and this one runs none', others);
  }
  const fix =
    engine.kind === 'ollama' && engine.state === 'ready'
      ? 'gogrid models pull smollm2:135m, or a better one: ollama pull llama3.2'
      : 'gogrid models pull smollm2:135m, or install Ollama (https://ollama.com/download)';
  return found('model', 'error', 'no machine of the mesh has a model', fix);
}

function apiFinding({ api, apiHost, apiIsLocal, apiRequiresKey }: NodeFacts): Finding {
  const key = apiRequiresKey || !apiIsLocal ? ', with the key alone' : '';
  const whom = apiIsLocal ? 'this machine only' : `other machines too (api.host is ${apiHost})`;
  return found('api', 'ok', `answers at ${api}, to ${whom}${key}`);
}

const LOOPBACK = /^\/(ip4\/127\.|ip6\/::1\/)/;

function networkFinding({ network, peers }: NodeFacts): Finding {
  const { addresses, wantedPort, port } = network;
  const [first] = addresses;
  if (first === undefined) return found('network', 'error', 'it listens nowhere: no other node can reach this one');
  const open = addresses.find((address) => !LOOPBACK.test(address));
  if (wantedPort !== 0 && port !== undefined && port !== wantedPort) {
    // It keeps the port it took, and does not look at the usual one again unless it is told to.
    const fix = `to go back once ${wantedPort} is free: gogrid config set network.port ${wantedPort}, and start it again; until then open port ${port} in the firewall`;
    return found(
      'network',
      'warn',
      `port ${wantedPort} was in use, so it listens on ${port}, at later starts too`,
      fix,
    );
  }
  if (open !== undefined) return found('network', 'ok', `other machines reach it at ${open}`);
  const expectsOthers = peers.bootstrap.some(({ address }) => !LOOPBACK.test(address));
  const fix = 'so that other machines reach it: gogrid config set network.listen 0.0.0.0';
  return found('network', expectsOthers ? 'warn' : 'ok', `only this machine reaches it, at ${first}`, fix);
}

function peerFindings({ peers }: NodeFacts): Finding[] {
  const { admitted, waiting, bootstrap } = peers;
  const findings: Finding[] = [];
  if (admitted > 0) findings.push(found('peers', 'ok', `${count(admitted, 'peer')} connected`));
  else if (bootstrap.length === 0 && waiting.length === 0) {
    findings.push(found('peers', 'ok', 'no other node: this one is a mesh of its own'));
  }
  return [...findings, ...bootstrapFindings(peers), ...waitingFindings(waiting)];
}

function bootstrapFindings({ admitted, waiting, bootstrap }: NodeFacts['peers']): Finding[] {
  // A node has an address for each transport: any of them says who is missing.
  const byNode = new Map(bootstrap.map((each) => [each.address.replace(/^.*\/p2p\//, ''), each]));
  const lost = [...byNode.values()].filter(({ connected }) => connected === false);
  if (lost.length > 0) {
    const where = lost.map(({ address }) => address).join(', ');
    const fix = 'is the node running there, is the address still right, and its port open in the firewall?';
    // A mesh that asks whether it is to be joined has been found.
    const isFound = admitted > 0 || bootstrap.some(({ waits }) => waits);
    return [found('peers', isFound ? 'warn' : 'error', `not connected to ${where}`, fix)];
  }
  // An address that names no node may be that of any that waits.
  if (admitted > 0 || bootstrap.length === 0 || waiting.length > 0) return [];
  return [found('peers', 'error', 'connected to none of the nodes it was told of', 'check network.bootstrap')];
}

const WAITS: Readonly<Record<WaitingFacts['waitsFor'], readonly [string, string]>> = {
  here: ['for you here', 'look at both machines for the same four words, then: gogrid peers accept NAME'],
  both: [
    'for you here, and for the user there',
    'look for the same four words, then on both: gogrid peers accept NAME',
  ],
  there: ['for the user there', 'on that machine: gogrid peers shows this one, and the command that accepts it'],
};

function waitingFindings(waiting: readonly WaitingFacts[]): Finding[] {
  return (['here', 'both', 'there'] as const).flatMap((whom) => {
    const names = waiting.filter(({ waitsFor }) => waitsFor === whom).map(({ name }) => `'${name}'`);
    const [text, fix] = WAITS[whom];
    const verb = names.length === 1 ? 'waits' : 'wait';
    return names.length === 0 ? [] : [found('peers', 'warn', `${names.join(', ')} ${verb} ${text}`, fix)];
  });
}

function creditFindings(credits: CreditFacts | undefined): Finding[] {
  if (credits === undefined) return [];
  const { signing, reason, attesting, ownFork } = credits;
  const why = reason === undefined ? '' : `: ${reason}`;
  const findings: Finding[] = [];
  if (signing === 'stopped') {
    const fix =
      'end the other program that uses this key, a copied home as a rule; then stop this node and start it again';
    findings.push(
      found('credits', 'error', `this node signs nothing any more, so it neither pays nor books${why}`, fix),
    );
  } else if (signing === 'starting') {
    const fix = 'it begins by itself as soon as a peer is connected that holds the ledger: gogrid peers';
    findings.push(found('credits', 'warn', `this node signs nothing yet, so it neither pays nor books${why}`, fix));
  }
  if (attesting !== undefined && attesting.state !== 'running') findings.push(attestingFinding(attesting));
  if (ownFork !== undefined) findings.push(ownForkFinding(ownFork));
  return [...findings, witnessFinding(credits)];
}

function attestingFinding({ state, reason }: NonNullable<CreditFacts['attesting']>): Finding {
  const why = reason === undefined ? '' : `: ${reason}`;
  if (state === 'starting') {
    const fix = 'it begins by itself when peers have said what its key attested before: gogrid peers';
    return found('credits', 'warn', `this node is a witness, and attests nothing yet${why}`, fix);
  }
  const fix =
    'end the other program that uses this key, if there is one; then stop this node, see gogrid logs, and start it again';
  return found('credits', 'error', `this node is a witness, and attests nothing any more${why}`, fix);
}

function ownForkFinding({ sequence, isCut }: NonNullable<CreditFacts['ownFork']>): Finding {
  const what = `two entries were signed with the key of this account for place ${sequence} of its log`;
  const fix = 'let one node alone use this key: a home that is copied needs a key of its own';
  if (!isCut)
    return found('credits', 'warn', `${what}; witnesses picked one, and what stands on the other is lost`, fix);
  return found(
    'credits',
    'error',
    `${what}: it is cut there, until witnesses pick one; what came after counts for nothing`,
    fix,
  );
}

function witnessFinding({ signing, ownFork, witnesses, bookedEarly }: CreditFacts): Finding {
  const { total, quorum, missing } = witnesses;
  const there = `${total - missing.length} of ${total} witnesses in sight`;
  if (total - missing.length < quorum) {
    const waits = bookedEarly === undefined ? 'every payment waits' : `payments above ${bookedEarly} wait`;
    const fix = `start ${missing.join(', ')}: ${waits} until ${quorum} of ${total} ${quorum === 1 ? 'is' : 'are'} there`;
    return found('credits', 'warn', `${there}, so nothing becomes final`, fix);
  }
  const ready = signing === 'ready' && ownFork === undefined ? 'ready to pay and to book; ' : '';
  return found('credits', 'ok', `${ready}${there}${missing.length === 0 ? '' : `, ${missing.join(', ')} not`}`);
}

/** Peers decide: of several the middle one, so that one wrong or lying clock does not. */
function clockFinding({ clock }: NodeFacts): Finding {
  const fix = 'switch on the setting of the time by the network (NTP), on this machine first';
  const ahead = median(clock.aheadMs);
  if (ahead !== undefined && Math.abs(ahead) > DOCTOR.maxClockSkewMs) {
    const whose = clock.aheadMs.length === 1 ? 'that of the only peer' : `those of ${clock.aheadMs.length} peers`;
    const message = `the clock is ${seconds(ahead)} ${ahead > 0 ? 'behind' : 'ahead of'} ${whose}`;
    return found('clock', 'warn', message, fix);
  }
  if (ahead !== undefined) return found('clock', 'ok', 'agrees with those of the peers, to a few seconds');
  if (Math.abs(clock.movedMs) > DOCTOR.maxClockSkewMs) {
    const message = `the clock was moved by ${seconds(clock.movedMs)} while the node ran, or the machine slept`;
    return found('clock', 'warn', message, fix);
  }
  return found('clock', 'ok', 'runs evenly; no peer to compare it with');
}

function median(numbers: readonly number[]): number | undefined {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

function seconds(ms: number): string {
  return `${Math.round(Math.abs(ms) / 1000)} s`;
}

/* ---- no node ---- */

function absenceFinding({ diedAs, startWith }: AbsentFacts): Finding {
  const fix = `start one with: ${startWith}`;
  if (diedAs === undefined) return found('node', 'warn', 'no node is running in this home', fix);
  const message = `no node is running; the last one, process ${diedAs}, ended without a word`;
  return found('node', 'warn', message, `${fix}; gogrid logs shows its last lines`);
}

function configFinding({ config: { problem } }: AbsentFacts): Finding {
  if (problem === undefined) return found('config', 'ok', 'the settings are accepted');
  return found('config', 'error', problem.message, problem.hint ?? 'gogrid config shows every setting');
}

function portFinding(name: 'api.port' | 'network.port', { at, state, by }: PortFacts): Finding {
  const check = name === 'api.port' ? 'api' : 'network';
  if (state === 'free') return found(check, 'ok', `${at} is free`);
  if (state === 'refused') {
    const address = name === 'api.port' ? 'api.host' : 'network.listen';
    const fix = `gogrid config set ${address} ADDRESS, or with another port: gogrid config set ${name} PORT`;
    return found(check, 'error', `${at} cannot be listened on: not an address of this machine, or not allowed`, fix);
  }
  const message = `${at} is in use by ${by ?? 'another program'}`;
  // A node takes another network port by itself, unless one was asked for.
  const level = name === 'api.port' ? 'error' : 'warn';
  return found(check, level, message, `stop it, or choose another port: gogrid config set ${name} PORT`);
}

function ollamaFindings({ ollama }: AbsentFacts): Finding[] {
  if (ollama === undefined) return [];
  const { url, version } = ollama;
  if (version !== undefined) return [found('engine', 'ok', `Ollama ${version} answers at ${url}`)];
  const fix =
    'a node runs the starter model without it; for better ones: https://ollama.com/download, or `ollama serve`';
  return [found('engine', 'warn', `no Ollama answers at ${url}`, fix)];
}

/* ---- the machine ---- */

function machineFindings(machine: MachineFacts): Finding[] {
  return [
    folderFinding('home', machine.home, 'choose another with --home DIR, or give this user the right to write there'),
    folderFinding('cache', machine.cache, 'choose another with XDG_CACHE_HOME'),
    diskFinding(machine),
    memoryFinding(machine),
    found('runtime', 'ok', `Node ${machine.nodeVersion}`),
  ];
}

function folderFinding(check: string, { path, problem }: FolderFacts, fix: string): Finding {
  if (problem === undefined) return found(check, 'ok', `${path} can be written`);
  return found(check, check === 'home' ? 'error' : 'warn', `${path} cannot be written: ${problem}`, fix);
}

function diskFinding({ home, cache, logBytes }: MachineFacts): Finding {
  const known = [home, cache].filter((folder) => folder.freeBytes !== undefined);
  const [tightest] = known.toSorted((a, b) => (a.freeBytes ?? 0) - (b.freeBytes ?? 0));
  if (tightest?.freeBytes === undefined) return found('disk', 'ok', 'the system does not say how much is free');
  const { path, freeBytes } = tightest;
  const fix = 'free some space, or move them: --home DIR, XDG_CACHE_HOME';
  const free = `${bytes(freeBytes)} free for ${path}`;
  if (freeBytes < DOCTOR.leastFreeBytes) return found('disk', 'error', `only ${free}`, fix);
  if (freeBytes < DOCTOR.tightFreeBytes) return found('disk', 'warn', `${free}: too little for most models`, fix);
  return found('disk', 'ok', `${free}; the log takes ${bytes(logBytes)}`);
}

function memoryFinding({ memory: { totalBytes, freeBytes } }: MachineFacts): Finding {
  const text = `${bytes(freeBytes)} of ${bytes(totalBytes)} free`;
  if (freeBytes >= DOCTOR.tightMemoryBytes) return found('memory', 'ok', text);
  return found('memory', 'warn', `${text}: a model may not fit`, 'close other programs, or take a smaller model');
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  const shown = value / 1000 ** power;
  return `${power === 0 || shown >= 100 ? Math.round(shown) : shown.toFixed(1)} ${units[power]}`;
}
