/** The environment that the program runs in: nothing of the user's own settings, nothing outside the scenario's folder. */

import { thisRun } from './run.ts';

export type Environment = Readonly<Record<string, string>>;

/** What every process gets, before what the test adds. `folder` stands in for the user's own folder. */
export function baseEnvironment(folder: string): Record<string, string> {
  const inherited = ['PATH', 'LANG', 'SystemRoot'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(inherited),
    HOME: folder,
    XDG_CACHE_HOME: thisRun().cache,
    NO_COLOR: '1',
  };
}

/** The settings of a node among others on one machine: free ports, no multicast, and no regard for who else is busy. */
export const NODE_SETTINGS: Environment = {
  GOGRID_API_PORT: '0',
  GOGRID_NETWORK_PORT: '0',
  GOGRID_NETWORK_LISTEN: '127.0.0.1',
  GOGRID_NETWORK_MDNS: 'false',
  GOGRID_NETWORK_ACCEPT: 'all',
  GOGRID_RESOURCES_ENABLE_ADAPTIVE_THROTTLING: 'false',
  GOGRID_LOGGING_LEVEL: 'debug',
};
