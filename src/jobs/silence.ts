/** Silence: a provider that has sent no frame of any kind for too long is not there any more. */

import { type Clock, every, type Timer } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { RequesterChannel } from './ports.ts';

/** Breaks the channel when nothing was heard for `JOB.silenceMs`; cancel the timer when the job ends. */
export function watchSilence(channel: RequesterChannel, clock: Clock): Timer {
  let lastLook = clock.elapsed();
  return every(clock, JOB.silenceCheckMs, () => {
    const now = clock.elapsed();
    // This process itself was held up: frames may lie unread, so the provider gets one more look.
    const heldUp = now - lastLook > 2 * JOB.silenceCheckMs;
    lastLook = now;
    if (heldUp || now - channel.heardAt < JOB.silenceMs) return;
    channel.abort(new GoGridError({ code: 'provider_lost', message: 'the provider fell silent' }));
  });
}
