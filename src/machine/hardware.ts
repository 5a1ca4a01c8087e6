/** What this machine is, for its profile. Sensors of load, GPU and temperature come beside this file later. */

import { availableParallelism, totalmem } from 'node:os';
import type { Hardware } from '../protocol/profile.ts';

/** Cores this process may use and memory of the machine; a GPU is not looked for yet, so none is claimed. */
export function readHardware(): Hardware {
  return { cores: availableParallelism(), memoryBytes: totalmem(), gpu: '', vramBytes: 0 };
}
