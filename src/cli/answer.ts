/** One question to a model of the mesh, and its answer as it comes: what `gogrid run` and `gogrid chat` share. */

import { GoGridError } from '../errors.ts';
import { machineNamesIfTold } from './machine-names.ts';
import { type ApiStream, errorInStream, type NodeClient } from './node-client.ts';
import { signOfLife } from './sign-of-life.ts';
import { painter, printableLines, tokensText } from './text.ts';
import type { World } from './world.ts';

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface Question {
  /** As the user wrote it. */
  readonly model: string;
  readonly messages: readonly Message[];
  /** What the user's flags say of it. */
  readonly headers: Readonly<Record<string, string>>;
  /** Aborted: the job is cancelled wherever it runs. */
  readonly signal: AbortSignal;
}

/** An answer, or what came of it before it was cancelled. */
export interface Answer {
  readonly text: string;
  readonly cancelled: boolean;
  /** `answered by kitchen (direct), 212 tokens, 41.3 tokens/s`; undefined when it was cancelled. */
  readonly summary: string | undefined;
  /** The model or its context wanted to say more. */
  readonly full: boolean;
}

/** What goes wrong when it breaks off, with what had come of it. */
export class BrokenAnswer extends Error {
  readonly text: string;
  readonly error: GoGridError;

  constructor(text: string, error: GoGridError) {
    super(error.message, { cause: error });
    this.text = text;
    this.error = error;
  }
}

/** One event of `/v1/chat/completions`, as far as it is used here. */
interface ChatEvent {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string; readonly reasoning?: string };
    readonly finish_reason?: string | null;
  }[];
  readonly x_gogrid?: Totals;
  readonly error?: unknown;
}

/** What the last event says of the job. */
interface Totals {
  readonly job: string;
  readonly provider: string | null;
  readonly route: string | null;
  readonly attempts: readonly { readonly provider: string; readonly fromToken: number; readonly toToken: number }[];
}

/**
 * Asks, and prints the answer to standard output as it comes. While nothing comes, standard error says why, if it is a
 * terminal.
 * @throws BrokenAnswer when it failed, before or in the midst of the answer
 */
export async function askModel(world: World, node: NodeClient, question: Question): Promise<Answer> {
  const printed = new Printed(world);
  const life = signOfLife(world, node, question.model);
  try {
    const stream = await node.stream({
      method: 'POST',
      path: '/v1/chat/completions',
      body: {
        model: question.model,
        messages: question.messages,
        stream: true,
        stream_options: { include_usage: true },
      },
      headers: question.headers,
      signal: question.signal,
    });
    const end = await readAnswer(world, node, stream, printed, life);
    printed.finish();
    return { text: printed.text, cancelled: false, full: end.full, summary: await summaryOf(node, stream, end) };
  } catch (thrown) {
    printed.finish();
    if (question.signal.aborted) return { text: printed.text, cancelled: true, full: false, summary: undefined };
    if (thrown instanceof GoGridError) throw new BrokenAnswer(printed.text, thrown);
    throw thrown;
  } finally {
    life.end();
  }
}

/** What was printed of an answer. */
class Printed {
  readonly #world: World;
  text = '';
  thinking = false;

  constructor(world: World) {
    this.#world = world;
  }

  add(text: string): void {
    const { stdout } = this.#world;
    this.text += text;
    // Into a file or a pipe it goes as it is; a terminal obeys what it reads, and this comes from another machine.
    stdout.write(stdout.isTty ? printableLines(text) : text);
  }

  /** The next thing printed begins a line. */
  finish(): void {
    if (this.text !== '' && !this.text.endsWith('\n')) this.#world.stdout.write('\n');
  }
}

/** How a whole answer ended. */
interface End {
  /** It wanted to go on, and was at the limit of its tokens or at the end of the context. */
  readonly full: boolean;
  readonly totals: Totals | undefined;
}

const HANDOVER = ': handover ';

async function readAnswer(
  world: World,
  node: NodeClient,
  stream: ApiStream,
  printed: Printed,
  life: ReturnType<typeof signOfLife>,
): Promise<End> {
  let full = false;
  let totals: Totals | undefined;
  for await (const line of stream.lines) {
    if (line.startsWith(HANDOVER)) await noteHandover(world, node, line.slice(HANDOVER.length));
    if (!line.startsWith('data: ')) continue;
    const data = line.slice('data: '.length);
    if (data === '[DONE]') return { full, totals };
    const event = readEvent(data);
    const [choice] = event.choices ?? [];
    if (choice?.delta?.reasoning) life.thinks();
    if (choice?.delta?.content) {
      life.end();
      printed.add(choice.delta.content);
    }
    full ||= choice?.finish_reason === 'length';
    totals = event.x_gogrid ?? totals;
  }
  throw cutOff();
}

function readEvent(data: string): ChatEvent {
  let event: ChatEvent;
  try {
    event = JSON.parse(data) as ChatEvent;
  } catch (thrown) {
    throw new GoGridError({ code: 'internal', message: 'the node sent an event that is not JSON', cause: thrown });
  }
  if (event.error === undefined) return event;
  throw errorInStream(data) ?? new GoGridError({ code: 'engine_failed', message: 'the answer broke off' });
}

/** The error of an answer that just ends. */
export function cutOff(): GoGridError {
  return new GoGridError({
    code: 'provider_lost',
    message: 'the answer ended in the middle',
    hint: 'the node may have been stopped; its log tells more: gogrid logs',
  });
}

/** In the midst of the text, where it happened: on a terminal alone, since it is no part of the answer. */
async function noteHandover(world: World, node: NodeClient, text: string): Promise<void> {
  if (!world.stdout.isTty) return;
  let provider: unknown;
  try {
    provider = (JSON.parse(text) as { provider?: unknown }).provider;
  } catch {
    return;
  }
  if (typeof provider !== 'string') return;
  const name = (await machineNamesIfTold(node))(provider);
  world.stdout.write(painter(world, world.stdout)('dim', `⟨${name} goes on⟩`));
}

/** `answered by kitchen (direct), 212 tokens, 41.3 tokens/s` */
async function summaryOf(node: NodeClient, stream: ApiStream, { full, totals }: End): Promise<string> {
  const route = totals?.route ?? stream.headers['x-gogrid-route'];
  const job = await jobOf(node, totals?.job ?? stream.headers['x-gogrid-job']);
  const attempts = totals?.attempts ?? job?.attempts ?? [];
  const answered = attempts.filter(({ fromToken, toToken }) => toToken > fromToken).map(({ provider }) => provider);
  const single = totals?.provider ?? stream.headers['x-gogrid-provider'];
  const known = [...new Set(answered.length > 0 || single === undefined ? answered : [single])];
  const names = known.map(await machineNamesIfTold(node));
  const by = route === 'local' && names.length < 2 ? 'this machine' : names.join(', then ');
  const tokens = job?.tokensOut;
  const rate = job?.tokensPerSecond;
  return [
    by === '' ? 'answered' : `answered by ${by}${typeof route !== 'string' || route === 'local' ? '' : ` (${route})`}`,
    ...(tokens === undefined ? [] : [tokensText(tokens)]),
    ...(typeof rate === 'number' ? [`${rate.toFixed(1)} tokens/s`] : []),
    ...(full ? ['cut off at its limit of tokens'] : []),
  ].join(', ');
}

interface JobFacts {
  readonly attempts: Totals['attempts'];
  readonly tokensOut: number;
  readonly tokensPerSecond: number | null;
}

/** The answer is there already: what only decorates it may fail. */
async function jobOf(node: NodeClient, id: string | undefined): Promise<JobFacts | undefined> {
  if (id === undefined) return undefined;
  return node.ask<JobFacts>({ path: `/jobs/${encodeURIComponent(id)}` }).catch(() => undefined);
}
