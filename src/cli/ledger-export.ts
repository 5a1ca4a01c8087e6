/** `gogrid ledger export`: the whole ledger as JSON lines, which `gogrid ledger verify FILE` checks anywhere. */

import { GoGridError } from '../errors.ts';
import { type Call, printJson } from './command.ts';
import { connect, errorInStream } from './node-client.ts';
import { spelled } from './program.ts';
import { shellWord } from './text.ts';

/** @param file where to; standard output without it */
export async function exportLedger(call: Call, file: string | undefined): Promise<number> {
  const { world } = call;
  const node = await connect(call.home);
  const { lines } = await node.stream({ path: '/ledger/entries?stream=true' });
  const seen = { lines: 0 };
  const all = whole(lines, seen, spelled(`gogrid logs${call.home.flags}`, world.program));
  if (file === undefined) {
    for await (const line of all) world.stdout.write(line);
    return 0;
  }
  await world.saveFile(file, all, call.flags.has('force'));
  if (call.json) {
    printJson(call, { file, lines: seen.lines });
  } else {
    const command = spelled(`gogrid ledger verify ${shellWord(file)}`, world.program);
    world.stdout.write(
      `The ledger is in ${file}: ${seen.lines} lines. Anybody can check it, on any machine: ${command}\n`,
    );
  }
  return 0;
}

/**
 * Hands on every line, with its end.
 * @param logs the command that shows the log
 * @throws GoGridError what broke it off, in the middle or behind fewer lines than the first one says
 */
async function* whole(lines: AsyncIterable<string>, seen: { lines: number }, logs: string): AsyncGenerator<string> {
  let expected = 1;
  for await (const line of lines) {
    if (seen.lines === 0) expected = 1 + linesSaidIn(line);
    else if (line.startsWith('{"error"')) throw errorInStream(line) ?? brokenOff(logs);
    seen.lines++;
    yield `${line}\n`;
  }
  if (seen.lines !== expected) throw brokenOff(logs);
}

function linesSaidIn(head: string): number {
  const { entries, attestations } = JSON.parse(head) as { entries: number; attestations: number };
  return entries + attestations;
}

function brokenOff(logs: string): GoGridError {
  return new GoGridError({
    code: 'internal',
    message: 'the export broke off in the middle',
    hint: `the log says why: ${logs}`,
  });
}
