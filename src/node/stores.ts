/** What lies in the home folder, opened. */

import { systemClock as clock } from '../clock.ts';
import { LOCAL_NETWORK, networkIdOf, nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { openDatabase } from '../storage/database.ts';
import { LevelJobHistory } from '../storage/job-history.ts';
import { loadApiKey, loadIdentity } from '../storage/key-file.ts';
import { LevelKnownPeers } from '../storage/known-peers.ts';
import type { NodeDeps } from './deps.ts';

/** @throws GoGridError `home_in_use`, `home_unusable`, `damaged` */
export async function openStores({ home, logger }: NodeDeps) {
  const log = logger.child({ part: 'storage' });
  const database = await openDatabase(home.dataFolder);
  try {
    const history = await LevelJobHistory.open(database, log, clock.now());
    const identity = await loadIdentity(home);
    const apiKey = await loadApiKey(home);
    const signer = signerFromSeed(identity.value);
    return {
      history,
      knownPeers: new LevelKnownPeers(database, log),
      seed: identity.value,
      signer,
      self: nodeIdOf(signer.publicKey),
      networkId: networkIdOf(LOCAL_NETWORK),
      apiKey: apiKey.value,
      warnings: [identity.warning, apiKey.warning].filter((warning) => warning !== undefined),
      async close() {
        await history.flushed();
        await database.close();
      },
    };
  } catch (thrown) {
    await database.close();
    throw thrown;
  }
}
export type Stores = Awaited<ReturnType<typeof openStores>>;
