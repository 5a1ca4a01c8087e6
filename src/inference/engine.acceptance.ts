/**
 * What every engine adapter must do, as one suite: `ollama/ollama.test.ts` runs it, and so does every adapter to come.
 * Parts that need an engine which breaks on demand are left out where there is no `control`.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest';
import { type Clock, systemClock } from '../clock.ts';
import type { EngineCall } from '../jobs/ports.ts';
import { testAnswers, testEmbeddings } from './acceptance/answers.ts';
import { testContinuing } from './acceptance/continuing.ts';
import { testComingBack, testFailures } from './acceptance/failing.ts';
import { testModels } from './acceptance/models.ts';
import { type ChatCall, type EngineSubject, needed, type Stage, type StartableEngine } from './acceptance/stage.ts';
import { testBackPressure, testCancelling } from './acceptance/stopping.ts';

export function engineAcceptance(name: string, subject: EngineSubject): void {
  describe(name, () => {
    const started: StartableEngine[] = [];
    const start = async (clock: Clock) => {
      const engine = subject.engine(clock);
      started.push(engine);
      await engine.start();
      return engine;
    };
    beforeAll(() => subject.start());
    afterAll(() => subject.stop());
    beforeEach(async () => {
      await subject.control?.reset();
      await start(systemClock);
    });
    afterEach(() => {
      for (const engine of started.splice(0)) engine.stop();
    });
    const engine = () => {
      const [first] = started;
      if (first === undefined) throw new Error('no engine was started');
      return first;
    };
    const chat = (tokens: number, more: Partial<ChatCall> = {}): EngineCall => ({
      model: more.model ?? subject.models.chat,
      input: {
        kind: 'chat',
        messages: [{ role: 'user', content: subject.prompt(tokens) }],
        options: { ...subject.options, ...more.options },
      },
      resume: more.resume,
    });
    const stage: Stage = { subject, engine, start, chat };
    describe('models', () => testModels(stage));
    describe('answers', () => testAnswers(stage));
    describe('embeddings', () => testEmbeddings(stage));
    describe('continuing', () => testContinuing(stage));
    describe('cancelling', () => testCancelling(stage));
    if (subject.control === undefined) return;
    describe('back-pressure', () => testBackPressure(stage, needed(subject.control)));
    describe('failures', () => testFailures(stage, needed(subject.control)));
    describe('coming back', () => testComingBack(stage, needed(subject.control)));
  });
}
