/** Opening streams and closing connections, with the waits that libp2p leaves unbounded. */

import type { Connection, Stream } from '@libp2p/interface';
import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import type { Channel } from '../jobs/ports.ts';
import { FRAME, MESH } from '../limits/mesh.ts';

/**
 * A new stream on a connection.
 * @throws GoGridError `peer_unreachable` when there is none before `signal` aborts, or the peer does not speak it
 */
export async function openStream(connection: Connection, protocol: string, signal: AbortSignal): Promise<Stream> {
  const opening = connection.newStream([protocol], {
    signal,
    maxOutboundStreams: FRAME.maxOutboundStreams,
    runOnLimitedConnection: true,
  });
  try {
    return await abortable(opening, signal);
  } catch (cause) {
    // A stream that opens after nobody waits for it any more would stay open for ever.
    opening.then(
      (late) => late.abort(new Error('opened too late')),
      () => {},
    );
    throw new GoGridError({ code: 'peer_unreachable', message: `no ${protocol} stream to the peer`, cause });
  }
}

/**
 * The next message of a channel, within `ms` milliseconds; past them the channel is aborted.
 * @throws GoGridError what `receive` throws, `peer_unreachable` when nothing came in time
 */
export async function within<In>(ms: number, channel: Channel<never, In>, clock: Clock): Promise<In | undefined> {
  const timer = clock.after(ms, () =>
    channel.abort(new GoGridError({ code: 'peer_unreachable', message: `the peer was silent for ${ms} ms` })),
  );
  try {
    return await channel.receive();
  } finally {
    timer.cancel();
  }
}

/** What `promise` settles to, or a rejection as soon as `signal` aborts, whether or not the work behind it notices. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Closes a connection in order, and cuts it when that takes too long. */
export function hangUp(connection: Connection): void {
  connection
    .close({ signal: AbortSignal.timeout(MESH.hangUpMs) })
    .catch(() => connection.abort(new Error('the connection could not be closed in time')));
}
