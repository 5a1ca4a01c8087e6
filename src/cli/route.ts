/** `gogrid route`: who would answer a question, and why. Nothing is run. */

import type { Explanation } from '../contract/explanation.ts';
import { ERRORS } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { usage } from './arguments.ts';
import { type Call, flagOf, printJson, sheetOf } from './command.ts';
import { capitalised, choiceSentence, exclusionSentences, noteOf, totalMs } from './decision-text.ts';
import { NOBODY_TAKES } from './job-story.ts';
import { machineNames, type NameOf } from './machine-names.ts';
import { connect } from './node-client.ts';
import { privacyHeaders } from './privacy-flag.ts';
import { spelled } from './program.ts';
import { type Cell, type Column, renderTable } from './table.ts';
import { aboutSpan, formatSpan, printable, tokensText } from './text.ts';
import { chatModels, unknownModel } from './which-model.ts';

/** Stands for a question where none is given. */
const SHORT_QUESTION = 'How are you?';

export async function run(call: Call): Promise<number> {
  const [model, ...more] = call.words;
  if (model === undefined) throw usage('route wants a model', 'route');
  if (more.length > 0) throw usage(`route takes no '${more[0]}': the question is given with --prompt`, 'route');
  const headers = privacyHeaders(call, 'route');
  const prompt = await promptIn(call);
  const node = await connect(call.home);
  const explanation = await node.ask<Explanation>({
    method: 'POST',
    path: '/route/explain',
    body: { model, messages: [{ role: 'user', content: prompt ?? SHORT_QUESTION }] },
    headers,
  });
  if (call.json) {
    printJson(call, explanation);
    return exitCode(explanation);
  }
  // Of a model that nobody has, it is worth saying which one was probably meant.
  if (isUnknown(explanation)) throw await unknownModel(node, await chatModels(node), model);
  const text = routeText(call, explanation, await machineNames(node), prompt !== undefined);
  call.world.stdout.write(spelled(text, call.world.program));
  return exitCode(explanation);
}

/** A lone `-` is standard input. */
async function promptIn(call: Call): Promise<string | undefined> {
  const text = flagOf(call, 'prompt');
  const prompt = text === '-' ? (await call.world.stdin.readAll(CLI.maxPromptBytes)).trim() : text;
  if (prompt === '') throw usage('the prompt is empty', 'route');
  return prompt;
}

function isUnknown({ candidates, excluded }: Explanation): boolean {
  return candidates.length === 0 && excluded.every(({ why }) => why === 'no-such-model');
}

/** 0 when somebody would answer; what only the privacy tier forbids is a policy. */
function exitCode({ candidates, excluded }: Explanation): number {
  if (candidates.length > 0) return 0;
  return ERRORS[excluded.some(({ why }) => why === 'privacy') ? 'privacy_unserved' : 'peer_unreachable'].exit;
}

const COLUMNS: readonly Column[] = [
  { title: 'MACHINE', shrinks: true },
  { title: 'DONE IN', align: 'right' },
  { title: 'WAITING', align: 'right' },
  { title: 'LOADING', align: 'right' },
  { title: 'READING', align: 'right' },
  { title: 'WRITING', align: 'right' },
  { title: 'WAY', align: 'right' },
  { title: '', shrinks: true },
];

export function routeText(call: Call, explanation: Explanation, nameOf: NameOf, isGiven: boolean): string {
  const { candidates, excluded, model, privacy, promptTokens, outputTokens, waiting, priceMicrocredits } = explanation;
  const [first] = candidates;
  const lines: string[] = [];
  if (first === undefined) {
    lines.push(call.paint('bold', `Nobody would answer with ${model} now.`));
  } else {
    const head = `${nameOf(first.node)} would answer with ${model}, in about ${formatSpan(totalMs(first))}.`;
    const rows = candidates.map((each): Cell[] => [nameOf(each.node), ...timesOf(each), noteOf(each, first)]);
    lines.push(call.paint('bold', printable(capitalised(head))), choiceSentence(explanation, nameOf, 'now'), '');
    lines.push(renderTable(COLUMNS, rows, sheetOf(call)).trimEnd());
  }
  if (excluded.length > 0) {
    lines.push('', 'Who cannot:', ...exclusionSentences(excluded, privacy, nameOf, 'now').map((text) => `  ${text}`));
  }
  if (waiting !== undefined) {
    const jobs = waiting.ahead === 1 ? '1 of your jobs waits' : `${waiting.ahead} of your jobs wait`;
    const yours = `yours would come after ${waiting.ahead === 1 ? 'it' : 'them'}${aboutSpan(waiting.estimateMs)}`;
    lines.push('', `${jobs} for this already, since ${NOBODY_TAKES}: ${yours}.`);
  }
  const price = priceMicrocredits === '0' ? '' : ` Price: ${priceMicrocredits} microcredits.`;
  const question = isGiven
    ? `a question of about ${tokensText(promptTokens)}`
    : 'a short question (--prompt takes a real one)';
  lines.push(
    '',
    `Figured for ${question} and an answer of about ${tokensText(outputTokens)}.${price} Privacy: ${privacy}.`,
    call.paint('dim', 'Nothing was run, and the question did not leave this machine.'),
  );
  return `${lines.join('\n')}\n`;
}

function timesOf(candidate: Explanation['candidates'][number]): string[] {
  const { wait, load, prefill, decode, roundTrip } = candidate.expectedMs;
  const parts = [wait, load, prefill, decode, roundTrip].map((ms) => (ms < 0.5 ? '-' : formatSpan(ms)));
  return [formatSpan(totalMs(candidate)), ...parts];
}
