/** What `gogrid up` says on a terminal after its banner: one short line for each event that matters, and downloads as a bar. */

import type { News } from '../contract/news.ts';
import type { PullState } from '../contract/pulls.ts';
import { NEWS } from '../limits/program.ts';
import { askLine } from './banner.ts';
import type { Call } from './command.ts';
import { commandFor } from './peers-accept.ts';
import { spelled } from './program.ts';
import { ProgressBar } from './progress-bar.ts';
import { type Paint, printable, shellWord } from './text.ts';
import type { NodeSession } from './world.ts';

export interface NewsFacts {
  /** Base URL of the API. */
  readonly api: string;
  readonly keyCommand: string | undefined;
  /** To be put behind `gogrid` so that the same home is meant. */
  readonly flags: string;
}

const SHOWN_MODELS = 3;

/** Prints what happens, until the returned function is called. */
export function followNews(call: Call, session: NodeSession, facts: NewsFacts): () => void {
  const { node } = session;
  const { world, paint } = call;
  const bar = new ProgressBar(world);
  /** Pulls that ended before, or were told of. */
  const told = new Set(node.pulls().filter(isOver).map(keyOf));
  let stopped = false;
  const print = (lines: readonly string[]) => {
    bar.clear();
    for (const line of lines) world.stdout.write(`${spelled(line, world.program)}\n`);
  };
  const stopClearing = session.onLogPrinted(() => bar.clear());
  const stopNews = node.onNews((news) => print(newsLines(news, facts, paint)));
  const watchPulls = async () => {
    while (!stopped) {
      const running = node.pulls().find((pull) => !isOver(pull));
      if (running === undefined) bar.clear();
      else bar.show(running);
      for (const pull of node.pulls()) {
        if (!isOver(pull) || told.has(keyOf(pull))) continue;
        told.add(keyOf(pull));
        if (pull.state === 'failed') print(failedLines(pull, facts));
      }
      await world.wait(NEWS.progressEveryMs);
    }
  };
  void watchPulls();
  return () => {
    stopped = true;
    stopNews();
    stopClearing();
    bar.clear();
  };
}

function isOver(pull: PullState): boolean {
  return pull.endedAt !== null;
}

function keyOf({ model, startedAt }: PullState): string {
  return `${model} ${startedAt}`;
}

function failedLines({ model, error }: PullState, { flags }: NewsFacts): string[] {
  const failed = `${model} could not be fetched`;
  // The error of the catalogue's places begins with these words itself.
  const sentence = error?.startsWith(failed) ? error : `${failed}: ${error ?? 'unknown error'}`;
  return [printable(sentence), `Again: gogrid models pull ${shellWord(printable(model))}${flags}`];
}

/** The lines for one event. */
export function newsLines(news: News, facts: NewsFacts, paint: Paint): string[] {
  switch (news.type) {
    case 'engine-ready':
      return [`${engineName(news)} answers.`];
    case 'models': {
      const [first = ''] = news.names;
      const ready = `${list(news.names)} ${news.names.length === 1 ? 'is' : 'are'} ready. Try it:`;
      return [ready, `  ${askLine(facts.api, first, facts.keyCommand)}`, `  gogrid chat${facts.flags}`];
    }
    case 'peer-joined': {
      const has = news.models.length === 0 ? '' : `, with ${list(news.models)}`;
      const more = news.first ? ` See them all: gogrid peers${facts.flags}` : '';
      return [`${nameOf(news)} joined${has}.${more}`];
    }
    case 'peer-left':
      return [`${nameOf(news)} is gone.${news.last ? ' No other node is connected now.' : ''}`];
    case 'peer-waiting':
      return waitingLines(news, facts, paint);
  }
}

/** A stranger chose its own name: it becomes part of a command only where it is plain (`commandFor`). */
function waitingLines(news: News & { type: 'peer-waiting' }, { flags }: NewsFacts, paint: Paint): string[] {
  const words =
    news.words === undefined ? '' : `, if it shows the same four words: ${paint('bold', printable(news.words))}`;
  const command = commandFor({ world: { program: 'gogrid' }, home: { flags } }, 'accept', {
    name: news.name,
    peerId: news.id,
  });
  return [paint('yellow', `${nameOf(news)} wants to join. Accept it${words}`), `  ${command}`];
}

function engineName({ kind, version }: { kind: string; version: string }): string {
  const name = kind === 'ollama' ? 'Ollama' : kind === 'embedded' ? 'The embedded engine' : 'The engine';
  return kind === 'ollama' && version !== '' ? `${name} ${printable(version)}` : name;
}

function nameOf({ name }: { name: string }): string {
  return name === '' ? 'A node' : printable(name);
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN_MODELS).map(printable).join(', ');
  return names.length > SHOWN_MODELS ? `${shown} and ${names.length - SHOWN_MODELS} more` : shown;
}
