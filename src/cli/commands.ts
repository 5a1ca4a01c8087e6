/** The commands there are. */

import type { Option } from './arguments.ts';
import type { Command } from './command.ts';

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
    usage: ['run <model> [prompt…]', 'run <model> < prompt.txt'],
    details:
      'Streams the answer to standard output, and says on standard error who answered and how fast. Without a prompt it reads ' +
      'standard input; a prompt that ends in a lone - gets standard input behind it. Ctrl-C cancels the job. With --json it ' +
      'prints the lines of /api/chat as they come.',
    example: { line: 'gogrid run llama3.2 "Why is the sky blue?"', does: 'answers on the best machine of the mesh' },
    options: [],
    load: () => import('./run.ts'),
  },
  {
    name: 'peers',
    summary: 'Show the other nodes of the mesh',
    usage: ['peers [list]', 'peers show <id>'],
    details: 'A peer is named by its id, by the beginning or end of it, or by its name.',
    example: { line: 'gogrid peers', does: 'lists every node, its models and its load' },
    options: [],
    load: () => import('./peers.ts'),
  },
  {
    name: 'models',
    summary: 'Show the models of the mesh',
    usage: ['models [list]'],
    details: 'Models of this machine come first. New ones come through Ollama: `ollama pull llama3.2`.',
    example: { line: 'gogrid models', does: 'lists every model and where it runs' },
    options: [],
    load: () => import('./models.ts'),
  },
  {
    name: 'jobs',
    summary: 'Show and cancel jobs',
    usage: ['jobs [list] [--limit N]', 'jobs show <id>', 'jobs cancel <id>'],
    details: 'Jobs that were asked or run here, newest first. The beginning or end of an id is enough.',
    example: { line: 'gogrid jobs', does: 'lists the newest jobs' },
    options: [
      { name: 'limit', short: 'n', kind: 'text', placeholder: 'N', doc: 'how many to list, 1 to 1000 (default 50)' },
    ],
    load: () => import('./jobs.ts'),
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
  ...['down', 'restart', 'top', 'chat', 'route', 'credits', 'ledger', 'pause', 'resume', 'network', 'invite', 'join'],
  ...['keys', 'fleet', 'doctor', 'service', 'update', 'bench', 'demo'],
];
