/** The settings as a command sees them: its flags, the environment and the home's file. */

import { type ResolvedConfig, resolveConfig } from '../config/resolve.ts';
import type { SettingName } from '../config/settings.ts';
import type { Call } from './command.ts';

/** @throws GoGridError `invalid_config`, `not_built` */
export async function resolveSettings(
  { world, home }: Pick<Call, 'world' | 'home'>,
  flags: ReadonlyMap<SettingName, string> = new Map(),
): Promise<ResolvedConfig> {
  const { env, workingFolder } = world;
  return resolveConfig({ flags, env, workingFolder, file: await home.readConfig() });
}
