/** The protocols that this node answers on, for peers that are admitted. */

import type { Connection, Stream } from '@libp2p/interface';
import { FRAME } from '../limits/mesh.ts';
import type { Admission } from './hello.ts';
import type { Host } from './libp2p.ts';

interface Streams {
  serve(stream: Stream, connection: Connection): Promise<void>;
}

/** @param served streams by the name of their protocol; those of none are not answered */
export async function serveProtocols(
  host: Host,
  admission: Admission,
  served: Readonly<Record<string, Streams | undefined>>,
): Promise<void> {
  const limits = {
    maxInboundStreams: FRAME.maxInboundStreams,
    maxOutboundStreams: FRAME.maxOutboundStreams,
    runOnLimitedConnection: true,
  };
  for (const [protocol, streams] of Object.entries(served)) {
    if (streams === undefined) continue;
    const serve = admission.guard((stream, connection) => void streams.serve(stream, connection));
    await host.handle(protocol, serve, limits);
  }
}
