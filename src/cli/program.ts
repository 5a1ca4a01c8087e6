/** How people start the program, and so how hints should spell it. */

/** What the operating system and npm say of this start. */
export interface StartHints {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `process.argv[1]`. */
  readonly script: string | undefined;
}

/** A checkout's own ways to start it: the bundle and the sources. */
const IN_A_CHECKOUT = /[\\/](dist[\\/]gogrid\.js|src[\\/]main\.ts)$/;

/**
 * `npx gogrid` where npm or npx started it, or a file of a checkout was named: there is no `gogrid` in the PATH then.
 * `gogrid` else.
 */
export function programName({ env, script }: StartHints): string {
  // npx says `npx` there, `npm start` says `start`.
  const byNpm = env.npm_lifecycle_event !== undefined;
  return byNpm || IN_A_CHECKOUT.test(script ?? '') ? 'npx gogrid' : 'gogrid';
}

/** `gogrid` as a command: at the start of a command line, not in a path, a name or a sentence about the program. */
const COMMAND = /(?<![\w./-])(?<!npx )gogrid(?= (?:[a-z-]|<))/g;

/** A header, where the node tells a client what to send. */
const TIER_HEADER = /send it with x-gogrid-privacy: /g;

/** A field of `POST /credits/transfer`, likewise. */
const UNKNOWN_ACCOUNT = /send it with unknownAccount: true/g;

/** Spells every `gogrid …` of a text as this user has to write it, and what the command line has a flag for as that flag. */
export function spelled(text: string, program: string): string {
  const ours = text.replace(TIER_HEADER, 'use --privacy ').replace(UNKNOWN_ACCOUNT, 'add --unknown-account');
  return program === 'gogrid' ? ours : ours.replace(COMMAND, program);
}

/** Commands that are asked of the node of a home, or of that home. */
const OF_A_HOME =
  /(?<![\w./-])gogrid (chat|config|credits|doctor|down|jobs|ledger|logs|models|peers|route|run|status|up)(?![\w-])/g;

/** Puts the home that was named into every command of a text that a node wrote, which does not know how people call it. */
export function withHome(text: string, homeFlags: string): string {
  if (homeFlags === '' || text.includes('--home')) return text;
  return text.replace(OF_A_HOME, (_, command: string) => `gogrid ${command}${homeFlags}`);
}
