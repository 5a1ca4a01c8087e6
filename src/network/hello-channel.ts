/** The stream of one hello: one message there, one back. */

import type { Stream } from '@libp2p/interface';
import type { Clock } from '../clock.ts';
import type { GoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import type { helloAnswer, helloMessage } from '../protocol/hello.ts';
import type { NodeId } from '../protocol/ids.ts';
import { FrameChannel } from './frame-channel.ts';

export interface HelloChannelDeps {
  readonly clock: Clock;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
}

/** @param schema of what the peer sends */
export function helloChannel<Out, In>(
  node: NodeId,
  stream: Stream,
  schema: typeof helloAnswer | typeof helloMessage,
  { clock, onViolation }: HelloChannelDeps,
): FrameChannel<Out, In> {
  return new FrameChannel<Out, In>(
    stream,
    {
      schema: schema as never,
      what: 'a hello frame',
      sendWindowBytes: MESH.helloWindowBytes,
      receiveWindowBytes: MESH.helloWindowBytes,
      isLast: () => true,
    },
    { clock, onViolation: (error) => onViolation(node, error) },
  );
}
