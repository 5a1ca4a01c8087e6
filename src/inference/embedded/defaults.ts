/** What a model runs with unless a request says otherwise and that its file does not carry, by the digest of the file. */

import type { Options } from '../../protocol/job.ts';
import { STARTER } from '../store/catalogue.ts';

interface Defaults {
  readonly options: Options;
  /** The chat template, in Jinja, in place of the file's own. */
  readonly template: string;
}

const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const DEFAULTS: Readonly<Record<string, Defaults>> = {
  [STARTER.sha256]: {
    // As its publisher advises: at Ollama's usual 0.8 so small a model loses its thread. It often does not find an end either,
    // and would fill its whole context, which takes minutes.
    options: { temperature: 0.2, top_p: 0.9, num_predict: 512 },
    // Its own template puts a system message in front of a conversation that has none ("You are a helpful AI assistant named
    // SmolLM …"), and with that, at four bits, it answers "What is the capital of France?" in broken French: 5 of 6 times,
    // against 0 of 6 without. Ollama sends none either.
    template: CHATML,
  },
};

/** The request's options over those of its model. */
export function withDefaults(digest: string, options: Options | undefined): Options {
  const given = Object.entries(options ?? {}).filter(([, value]) => value !== null);
  return { ...DEFAULTS[digest]?.options, ...Object.fromEntries(given) };
}

/** The chat template to use instead of the file's own, if there is one. */
export function defaultTemplate(digest: string): string | undefined {
  return DEFAULTS[digest]?.template;
}

/** As Ollama shows a model's parameters: a name and a value in each line. */
export function defaultsText(digest: string): string {
  return Object.entries(DEFAULTS[digest]?.options ?? {})
    .map(([name, value]) => `${name.padEnd(30)} ${String(value)}`)
    .join('\n');
}
