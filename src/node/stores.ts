/** What lies in the home folder, opened. */

import { systemClock as clock } from '../clock.ts';
import { LiveDescriptor } from '../network/descriptor.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { LevelAcceptedPeers } from '../storage/accepted-peers.ts';
import { openNumbers } from '../storage/announced-numbers.ts';
import { openDatabase } from '../storage/database.ts';
import { LevelFriends } from '../storage/friends.ts';
import { LevelJobHistory } from '../storage/job-history.ts';
import { loadApiKey, loadIdentity } from '../storage/key-file.ts';
import { LevelKnownPeers } from '../storage/known-peers.ts';
import { openMesh, saveDescriptor } from '../storage/network-file.ts';
import { LevelNetworkPort } from '../storage/network-port.ts';
import { markUnused, takeUnused } from '../storage/unused-key.ts';
import type { NodeDeps } from './deps.ts';

/** @throws GoGridError `home_in_use`, `home_unusable`, `damaged`, `invalid_descriptor`, `invalid_config`, `not_built` */
export async function openStores({ home, logger, descriptorFile }: NodeDeps) {
  const log = logger.child({ part: 'storage' });
  const database = await openDatabase(home.dataFolder);
  try {
    const mesh = await openMesh(home, descriptorFile);
    const { networkId } = mesh.descriptor;
    const history = await LevelJobHistory.open(database, log, clock.now());
    const identity = await loadIdentity(home);
    if (identity.created) await markUnused(home, clock.now());
    const apiKey = await loadApiKey(home);
    const signer = signerFromSeed(identity.value);
    const descriptor = new LiveDescriptor(mesh.descriptor, {
      signer,
      save: (next) => saveDescriptor(home, next),
      log,
    });
    const numbers = await openNumbers(database, { clock, log });
    return {
      history,
      descriptor,
      acceptedPeers: new LevelAcceptedPeers(database, networkId),
      friends: await LevelFriends.open(database, networkId, log),
      knownPeers: new LevelKnownPeers(database, networkId, log),
      port: await LevelNetworkPort.open(database, log),
      numbers,
      seed: identity.value,
      /**
       * Whether nobody can have an entry of this key: it was made at this start, or never used since its mesh was made. True once
       * only, so whoever asks is about to sign; a start that fails before that takes nothing away.
       */
      takeNewKey: () => takeUnused(home, clock.now()),
      database,
      signer,
      self: nodeIdOf(signer.publicKey),
      networkId,
      apiKey: apiKey.value,
      warnings: [identity.warning, apiKey.warning, mesh.notice].filter((warning) => warning !== undefined),
      async close() {
        await history.flushed();
        await descriptor.saved();
        await numbers.end();
        await database.close();
      },
    };
  } catch (thrown) {
    await database.close();
    throw thrown;
  }
}
export type Stores = Awaited<ReturnType<typeof openStores>>;
