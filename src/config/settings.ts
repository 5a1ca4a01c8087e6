/** The settings by their names, and the values of one run. */

import { SCHEMA } from './schema.ts';
import type { Setting, SettingValue, ValueOf } from './setting.ts';

type Schema = typeof SCHEMA;

/** All settings of one run, frozen. Keys are those of the file. */
export type Config = {
  readonly [Section in keyof Schema]: {
    readonly [Key in keyof Schema[Section]]: ValueOf<Schema[Section][Key]>;
  };
};

/** A setting's full name, such as `network.listen`. */
export type SettingName = {
  [Section in keyof Schema]: `${Section}.${keyof Schema[Section] & string}`;
}[keyof Schema];

/** A setting with the names by which people reach it. */
export type NamedSetting = Setting & {
  readonly name: SettingName;
  readonly section: string;
  readonly key: string;
  /** `GOGRID_NETWORK_LISTEN` */
  readonly variable: string;
  /** `network-listen`, without the two dashes. */
  readonly flag: string;
};

/** All settings in the order of the reference. */
export const SETTINGS: readonly NamedSetting[] = Object.entries(SCHEMA).flatMap(([section, settings]) =>
  Object.entries(settings as Record<string, Setting>).map(([key, setting]) => ({
    ...setting,
    name: `${section}.${key}` as SettingName,
    section,
    key,
    variable: `GOGRID_${section}_${key}`.toUpperCase(),
    flag: `${section}-${key}`.replaceAll('_', '-'),
  })),
);

/** Variables that are no settings: they say where the settings are. */
export const OTHER_VARIABLES: readonly string[] = ['GOGRID_HOME'];

/** @returns the setting called `name`, such as `network.listen`, or undefined */
export function findSetting(name: string): NamedSetting | undefined {
  return SETTINGS.find((setting) => setting.name === name);
}

/** The value of one setting in a configuration. */
export function valueIn(config: Config, setting: NamedSetting): SettingValue {
  return (config as Record<string, Record<string, SettingValue>>)[setting.section]?.[setting.key];
}
