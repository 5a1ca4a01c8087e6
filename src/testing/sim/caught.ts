/** What nobody caught is a violation of the history in which it happened. */

import type { World } from './world.ts';

/** @returns what ends it */
export function caughtBy(world: World): () => void {
  const onRejection = (thrown: unknown) =>
    world.violate('no-defect', `nobody caught ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
  process.on('unhandledRejection', onRejection);
  return () => process.off('unhandledRejection', onRejection);
}
