/** The commands there are. */

import type { Option } from './arguments.ts';
import type { Command } from './command.ts';
import { PRIVACY_OPTION } from './privacy-flag.ts';

/** Every command takes these. */
export const COMMON_OPTIONS: readonly Option[] = [
  { name: 'home', kind: 'text', placeholder: 'DIR', doc: 'use this home folder (also GOGRID_HOME)' },
  { name: 'json', kind: 'switch', doc: 'print for programs' },
  { name: 'help', short: 'h', kind: 'switch', doc: 'explain the command' },
];

export const COMMANDS: readonly Command[] = [
  {
    name: 'up',
    summary: 'Start a node and keep it running',
    usage: ['up [--home DIR] [--json] [settings]'],
    details:
      'Runs until Ctrl-C or SIGTERM: then it takes no new jobs, lets running ones finish for node.shutdown_grace_secs, and ends. ' +
      'With --json the first line on standard output says where the node answers, and nothing else is printed there; the log ' +
      'goes to standard error.',
    example: { line: 'gogrid up --api-port 5000', does: 'starts a node whose API answers at http://127.0.0.1:5000' },
    options: [],
    settings: true,
    load: () => import('./up.ts'),
  },
  {
    name: 'down',
    summary: 'Stop the node',
    usage: ['down'],
    details:
      'Has the node of this home stop as at Ctrl-C: it takes no new jobs, lets running ones finish for node.shutdown_grace_secs, ' +
      'and ends. Waits until it is gone. A node whose API does not answer is sent SIGTERM.',
    example: { line: 'gogrid down', does: 'stops the node of the usual home' },
    options: [],
    load: () => import('./down.ts'),
  },
  {
    name: 'status',
    summary: 'Show what the node is and does',
    usage: ['status'],
    details: 'State, engine, models, jobs, tokens, and the addresses by which other nodes reach this one.',
    example: { line: 'gogrid status', does: 'shows the node of the usual home' },
    options: [],
    load: () => import('./status.ts'),
  },
  {
    name: 'run',
    summary: 'Ask a model one thing',
    usage: ['run <model> [prompt…] [--privacy TIER]', 'run <model> < prompt.txt'],
    details:
      'Streams the answer to standard output, and says on standard error who answered and how fast. Without a prompt it reads ' +
      'standard input; a prompt that ends in a lone - gets standard input behind it. Ctrl-C cancels the job. With --json it ' +
      'prints the lines of /api/chat as they come.',
    example: { line: 'gogrid run llama3.2 "Why is the sky blue?"', does: 'answers on the best machine of the mesh' },
    options: [PRIVACY_OPTION],
    load: () => import('./run.ts'),
  },
  {
    name: 'chat',
    summary: 'Talk with a model',
    usage: ['chat [model] [--privacy TIER]'],
    details:
      'A conversation: every question is sent with what was said before. Behind each answer stands who gave it and how fast. ' +
      'Ctrl-C ends the answer and not the chat; /help lists the commands, /bye or Ctrl-D leaves; """ begins and ends a text of several ' +
      'lines. Without a model it takes the first of this machine, else of the mesh. From a pipe every line is a question. What is ' +
      'said is kept nowhere.',
    example: { line: 'gogrid chat llama3.2', does: 'begins a conversation' },
    options: [PRIVACY_OPTION],
    load: () => import('./chat.ts'),
  },
  {
    name: 'route',
    summary: 'Show who would answer a question, and why',
    usage: ['route <model> [--prompt TEXT|-] [--privacy TIER]'],
    details:
      'Weighs the machines of the mesh as for a real question, and runs nothing: how long each is expected to take and with ' +
      'what (waiting, loading the model, reading the question, writing the answer, the way there and back), why the first one ' +
      'stands in front, and who cannot answer and why. Ends with 1 when nobody would answer, with 5 when only the privacy tier ' +
      'is in the way.',
    example: { line: 'gogrid route llama3.2', does: 'says which machine would answer, and what it takes' },
    options: [
      { name: 'prompt', kind: 'text', placeholder: 'TEXT', doc: 'the question; - reads it from standard input' },
      PRIVACY_OPTION,
    ],
    load: () => import('./route.ts'),
  },
  {
    name: 'peers',
    summary: 'Show the other nodes of the mesh, and decide who comes in',
    usage: [
      'peers [list]',
      'peers show <id>',
      'peers accept <id> [--yes]',
      'peers block <id>',
      'peers unblock <id>',
      'peers friend <id>',
      'peers unfriend <id>',
    ],
    details:
      'A peer is named by its id, by the beginning or end of it, or by its name. accept shows four words and asks whether the ' +
      'other machine shows the same: then nobody stands between the two. Both sides have to accept. block ends what was ' +
      'accepted and keeps the machine out; unblock makes it a stranger again. friend puts a machine on the list of those that ' +
      'may see prompts of the privacy tier `friends`; unfriend takes it off.',
    example: {
      line: 'gogrid peers accept laptop',
      does: 'lets the machine called laptop in, once its words are compared',
    },
    options: [{ name: 'yes', short: 'y', kind: 'switch', doc: 'accept without comparing the words' }],
    load: () => import('./peers.ts'),
  },
  {
    name: 'models',
    summary: 'Show, get and remove models',
    usage: ['models [list]', 'models pull <name>', 'models rm <name> [--yes]'],
    details:
      'Models of this machine come first. pull gets one to this machine: through Ollama when it answers, else from the short ' +
      'list that GoGrid fetches by itself, which begins with smollm2:135m (98 MB). Ctrl-C cancels; the same command goes on ' +
      'later. rm deletes a model of this machine; those of other machines are removed there. With --json pull prints one object ' +
      'a line, the last of which says success.',
    example: { line: 'gogrid models pull smollm2:135m', does: 'gets a small model, and shows how far it is' },
    options: [{ name: 'yes', short: 'y', kind: 'switch', doc: 'remove without asking' }],
    load: () => import('./models.ts'),
  },
  {
    name: 'jobs',
    summary: 'Show and cancel jobs',
    usage: ['jobs [list] [--seen-by] [--limit N]', 'jobs show <id>', 'jobs cancel <id>'],
    details:
      'Jobs that were asked or run here, newest first; of those that wait, where, behind how many, and about how long. --seen-by ' +
      'lists which machines saw each prompt. show says why a job went where it went, what took so long, and who saw the prompt. ' +
      'The beginning or end of an id is enough.',
    example: { line: 'gogrid jobs', does: 'lists the newest jobs' },
    options: [
      { name: 'limit', short: 'n', kind: 'text', placeholder: 'N', doc: 'how many to list, 1 to 1000 (default 50)' },
      { name: 'seen-by', kind: 'switch', doc: 'list which machines saw each prompt' },
    ],
    load: () => import('./jobs.ts'),
  },
  {
    name: 'credits',
    summary: 'Show credits, and send them',
    usage: [
      'credits [balance]',
      'credits history [--limit N]',
      'credits transfer <to> <amount> [--memo TEXT] [--yes] [--unknown-account]',
      'credits grant <to> <amount> [--yes] [--unknown-account]',
    ],
    details:
      'What the account of this node has, what of it is set aside or promised, and what came and went. Amounts are credits, with ' +
      'up to six digits behind the point. transfer sends some to another machine, by its whole name, or to an ' +
      'account by its whole id; it asks first, since what is sent cannot be taken back. The other side accepts by itself. grant ' +
      'is a transfer with the memo "grant", for the node that gives newcomers their first credits. An entry is final when ' +
      'nobody can take it back any more.',
    example: {
      line: 'gogrid credits transfer kitchen 1.5 --memo thanks',
      does: 'sends one and a half credits to kitchen',
    },
    options: [
      {
        name: 'limit',
        short: 'n',
        kind: 'text',
        placeholder: 'N',
        doc: 'how many lines of history, 1 to 1000 (default 50)',
      },
      { name: 'memo', kind: 'text', placeholder: 'TEXT', doc: 'what for, at most 128 bytes; everybody can read it' },
      { name: 'yes', short: 'y', kind: 'switch', doc: 'send without asking' },
      {
        name: 'unknown-account',
        kind: 'switch',
        doc: 'send even to an id that was never seen; what goes to a mistyped one is lost',
      },
    ],
    load: () => import('./credits.ts'),
  },
  {
    name: 'ledger',
    summary: 'Show and check the ledger of the mesh, and take it along',
    usage: ['ledger', 'ledger verify [FILE]', 'ledger export [FILE] [--force]'],
    details:
      'What this node holds: entries and their digest, the own log, the witnesses, and who signed twice for one place. verify ' +
      'checks every signature, chain and amount again, here or, with FILE, in an export, for which it needs neither a node nor a ' +
      'home: it ends with 1 and names the entry when something does not hold. export writes all of it as JSON lines, to standard ' +
      'output without FILE.',
    example: {
      line: 'gogrid ledger export ledger.jsonl && gogrid ledger verify ledger.jsonl',
      does: 'takes the ledger along and checks it, as anybody can on any machine',
    },
    options: [{ name: 'force', kind: 'switch', doc: 'export over a file that is there already' }],
    load: () => import('./ledger.ts'),
  },
  {
    name: 'network',
    summary: 'Show the mesh, make one, and change what its founder may change',
    usage: [
      'network [show]',
      'network create --name NAME [--home DIR] [--genesis N] [--witness ID]…',
      'network create … [--admission RULE] [--bootstrap ADDRESS]…',
      'network reissue [--bootstrap ADDRESS]… [--admission RULE]',
    ],
    details:
      'A mesh is the nodes that share one descriptor. create makes one of your own: the key of its founder and a signed ' +
      'network.json, in a home that is empty. Other nodes take that file with --network-descriptor or ' +
      'GOGRID_NETWORK_DESCRIPTOR, once. Its name, its credits and its witnesses never change; reissue, in the home of the founder, signs new ' +
      'bootstrap addresses, all of them in place of the old, or another admission rule. None of it needs a running node; one ' +
      'that runs learns of it at once.',
    example: {
      line: 'gogrid network create --home ~/home-mesh --name home',
      does: 'makes a mesh and says how other nodes join it',
    },
    options: [
      { name: 'name', kind: 'text', placeholder: 'NAME', doc: 'of the new mesh, at most 64 characters' },
      {
        name: 'genesis',
        kind: 'text',
        placeholder: 'N',
        doc: 'all there will be, in microcredits, 1000000 to the credit (default 0: a mesh without)',
      },
      {
        name: 'witness',
        kind: 'text',
        placeholder: 'ID',
        doc: 'peer id of a node that attests the ledger; may be given several times (default: the founder)',
      },
      {
        name: 'admission',
        kind: 'text',
        placeholder: 'RULE',
        doc: 'all nodes of the mesh, or confirm each by hand (default all)',
      },
      {
        name: 'bootstrap',
        kind: 'text',
        placeholder: 'ADDRESS',
        doc: 'multiaddr of a node to join through; may be given several times',
      },
    ],
    load: () => import('./network.ts'),
  },
  {
    name: 'config',
    summary: 'Show and change the settings',
    usage: [
      'config',
      'config get <key>',
      'config set <key> <value>',
      'config unset <key>',
      'config edit',
      'config path',
    ],
    details:
      'A setting comes from a flag of `gogrid up`, else from its GOGRID_ variable, else from the file, else it is the default. ' +
      'set, unset and edit change the file and keep its comments. A node reads its settings when it starts. docs/configuration.md ' +
      'describes every setting.',
    example: {
      line: 'gogrid config set engine.ollama_url http://192.168.1.10:11434',
      does: 'uses Ollama on another machine',
    },
    options: [],
    load: () => import('./config.ts'),
  },
  {
    name: 'demo',
    summary: 'Show a mesh at work, on this machine',
    usage: ['demo [--model NAME] [--question TEXT] [--nodes N]'],
    details:
      'Starts five nodes, asks one a question that another answers, kills that one in mid-sentence, and shows how a third goes ' +
      'on. Takes well under a minute, once it has a model: without --model it is the starter model, which is downloaded the ' +
      'first time (98 MB). Everything runs in a temporary folder and has ended and gone afterwards. With --json it prints one ' +
      'object a line.',
    example: { line: 'gogrid demo', does: 'tells the story with the starter model' },
    options: [
      { name: 'model', kind: 'text', placeholder: 'NAME', doc: 'a model of this machine, such as one of Ollama' },
      { name: 'question', kind: 'text', placeholder: 'TEXT', doc: 'what to ask' },
      { name: 'nodes', kind: 'text', placeholder: 'N', doc: 'how many nodes, 3 to 9 (default 5)' },
    ],
    load: () => import('./demo/demo.ts'),
  },
  {
    name: 'doctor',
    summary: 'Say what is wrong, and how to mend it',
    usage: ['doctor'],
    details:
      'Looks at engine, models, ports, peers, clock, disk and memory: each finding with its fix. Without a running node it ' +
      'looks at what would keep one from starting. Ends with 0 when nothing is an error, else with 1.',
    example: { line: 'gogrid doctor', does: 'looks at the node of the usual home' },
    options: [],
    load: () => import('./doctor.ts'),
  },
  {
    name: 'logs',
    summary: "Show the node's log",
    usage: ['logs [--follow] [--level LEVEL] [--lines N]'],
    details:
      'Without a running node it shows what the last one wrote. The log never holds text of a prompt or an answer.',
    example: { line: 'gogrid logs --follow --level warn', does: 'shows warnings and errors as they come' },
    options: [
      { name: 'follow', short: 'f', kind: 'switch', doc: 'go on with new lines until Ctrl-C' },
      {
        name: 'level',
        kind: 'text',
        placeholder: 'LEVEL',
        doc: 'trace, debug, info, warn or error, and above (default trace)',
      },
      {
        name: 'lines',
        short: 'n',
        kind: 'text',
        placeholder: 'N',
        doc: 'how many to begin with, 1 to 10000 (default 200)',
      },
    ],
    load: () => import('./logs.ts'),
  },
];

/** Words that later versions will have as commands: saying so is kinder than a guess at another command. */
export const PLANNED: readonly string[] = [
  ...['restart', 'top', 'pause', 'resume', 'invite', 'join'],
  ...['keys', 'fleet', 'service', 'update', 'bench'],
];
