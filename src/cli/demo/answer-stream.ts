/** Reads a streamed answer of `/v1/chat/completions`, with the hand-overs in it. */

import { GoGridError } from '../../errors.ts';
import { errorIn } from '../node-client.ts';

export type AnswerEvent =
  | { readonly type: 'text'; readonly text: string }
  /** From here on another node answers. */
  | { readonly type: 'handover'; readonly provider: string; readonly route: string }
  /** `length`: it was as long as it may be. */
  | { readonly type: 'finish'; readonly reason: string };

interface ChatChunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
}

const DATA = 'data: ';
const HANDOVER = ': handover ';

/**
 * @param lines of the stream, without their ends
 * @throws GoGridError when the node tells of an error, or the stream ends without its end
 */
export async function* readAnswer(lines: AsyncIterable<string>): AsyncGenerator<AnswerEvent> {
  for await (const line of lines) {
    if (line.startsWith(HANDOVER)) {
      const { provider, route } = parse(line.slice(HANDOVER.length)) as { provider: string; route: string };
      yield { type: 'handover', provider, route };
      continue;
    }
    if (!line.startsWith(DATA)) continue;
    const data = line.slice(DATA.length);
    if (data === '[DONE]') return;
    const failed = errorIn(data);
    if (failed !== undefined) throw new GoGridError({ code: 'engine_failed', message: failed.message });
    const choice = (parse(data) as ChatChunk).choices?.[0];
    if (choice?.delta?.content) yield { type: 'text', text: choice.delta.content };
    if (choice?.finish_reason) yield { type: 'finish', reason: choice.finish_reason };
  }
  throw new GoGridError({ code: 'provider_lost', message: 'the answer ended in the middle' });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new GoGridError({ code: 'internal', message: 'the node sent a line that is not JSON', cause: thrown });
  }
}
