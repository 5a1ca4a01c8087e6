import { describe, expect, it } from 'vitest';
import { type AnswerEvent, readAnswer } from './answer-stream.ts';

async function* linesOf(text: string): AsyncGenerator<string> {
  yield* text.split('\n');
}

async function read(text: string): Promise<AnswerEvent[]> {
  const events: AnswerEvent[] = [];
  for await (const event of readAnswer(linesOf(text))) events.push(event);
  return events;
}

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

describe('a streamed answer', () => {
  it('is its texts, its hand-overs and its end', async () => {
    const stream = [
      chunk({ role: 'assistant', content: 'The ' }),
      ': keepalive\n\n',
      chunk({ content: 'sea' }),
      ': handover {"provider":"12D3KooWOther","route":"direct"}\n\n',
      chunk({ content: ' is' }),
      chunk({}, 'length'),
      'data: [DONE]\n\n',
    ].join('');
    expect(await read(stream)).toEqual([
      { type: 'text', text: 'The ' },
      { type: 'text', text: 'sea' },
      { type: 'handover', provider: '12D3KooWOther', route: 'direct' },
      { type: 'text', text: ' is' },
      { type: 'finish', reason: 'length' },
    ]);
  });

  it('that just ends is no answer', async () => {
    await expect(read(chunk({ content: 'The ' }))).rejects.toMatchObject({ code: 'provider_lost' });
  });

  it('may tell of an error', async () => {
    const error = 'data: {"error":{"message":"nobody is left","type":"server_error","code":"overloaded"}}\n\n';
    await expect(read(chunk({ content: 'The ' }) + error)).rejects.toThrow('nobody is left');
  });
});
