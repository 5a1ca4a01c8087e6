/** What a setting is: its type, its bounds and its one sentence, from which everything about it is made. */

interface Described {
  /** One sentence for the reference and for `--help`. */
  readonly doc: string;
  /** Whether this version acts on it; one that is not built is checked and has no effect. */
  readonly built: boolean;
}

/** Says what is wrong with a value, as the end of a sentence that begins with the value; undefined when nothing is. */
type Check = (value: string) => string | undefined;

export interface TextSetting extends Described {
  readonly type: 'text';
  readonly default: string;
  readonly maxChars: number;
  readonly check?: Check;
  /** What it means when it is empty, for settings that may be. */
  readonly whenEmpty?: string;
  /** A path: a relative one begins at the home folder in the file, and at the working folder in a flag or a variable. */
  readonly isPath?: boolean;
  /** What is allowed, in words. */
  readonly allowed: string;
}

export interface NumberSetting extends Described {
  readonly type: 'integer' | 'number';
  /** `undefined` where another setting decides; `whenUnset` then says which. */
  readonly default: number | undefined;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  readonly whenUnset?: string;
}

export interface BooleanSetting extends Described {
  readonly type: 'boolean';
  readonly default: boolean;
}

export interface ChoiceSetting extends Described {
  readonly type: 'choice';
  readonly default: string;
  /** What it means when it is empty, for settings that may be: the empty text is one of the values then. */
  readonly whenEmpty?: string;
  readonly values: readonly string[];
  /**
   * Values that are named already and refused until their part is built, each with the reason. Where ignoring a value
   * would open what its user wanted closed, it is refused and not ignored.
   */
  readonly planned?: Readonly<Record<string, string>>;
}

export interface ListSetting extends Described {
  readonly type: 'list';
  readonly default: readonly string[];
  readonly maxItems: number;
  readonly maxChars: number;
  readonly check?: Check;
  /** When set, the only items allowed. */
  readonly values?: readonly string[];
  readonly planned?: Readonly<Record<string, string>>;
  /** What an item is, in words. */
  readonly allowed: string;
}

export type Setting = TextSetting | NumberSetting | BooleanSetting | ChoiceSetting | ListSetting;

export type SettingValue = string | number | boolean | readonly string[] | undefined;

/** The type of the value that a setting gives. */
export type ValueOf<S> = S extends { type: 'boolean' }
  ? boolean
  : S extends { type: 'choice'; values: readonly (infer V)[] }
    ? V
    : S extends { type: 'list'; values: readonly (infer V)[] }
      ? readonly V[]
      : S extends { type: 'list' }
        ? readonly string[]
        : S extends { type: 'text' }
          ? string
          : S extends { default: number }
            ? number
            : number | undefined;
