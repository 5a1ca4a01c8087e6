import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Conversation } from './conversation.ts';

const bounds = { maxMessages: 7, maxChars: 100 };

describe('a conversation', () => {
  it('sends the system text, what was said, and the question, in that order', () => {
    const chat = new Conversation(bounds);
    chat.system = 'be brief';
    chat.keep('a?', 'a!');
    expect(chat.ask('b?')).toEqual({
      dropped: 0,
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'a?' },
        { role: 'assistant', content: 'a!' },
        { role: 'user', content: 'b?' },
      ],
    });
    chat.clear();
    expect(chat.ask('c?').messages).toHaveLength(2);
  });

  it('forgets the older half when the model finds it too long, until nothing is left', () => {
    const chat = new Conversation({ maxMessages: 100, maxChars: 1000 });
    for (const word of ['a', 'b', 'c', 'd', 'e']) chat.keep(word, word);
    expect(chat.dropOldest()).toBe(3);
    expect(chat.ask('?').messages.map(({ content }) => content)).toEqual(['d', 'd', 'e', 'e', '?']);
    expect([chat.dropOldest(), chat.dropOldest(), chat.dropOldest()]).toEqual([1, 1, 0]);
  });

  it('stays within its bounds whatever is said, and never drops the question or the newest turns first', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ maxLength: 60 }), fc.string({ maxLength: 60 }))), (turns) => {
        const chat = new Conversation(bounds);
        for (const [question, answer] of turns) {
          const { messages } = chat.ask(question);
          expect(messages.at(-1)).toEqual({ role: 'user', content: question });
          const chars = messages.reduce((sum, { content }) => sum + content.length, 0);
          expect(messages.length === 1 || (chars <= bounds.maxChars && messages.length <= bounds.maxMessages)).toBe(
            true,
          );
          chat.keep(question, answer);
        }
      }),
    );
  });
});
