/**
 * Noise and Yamux as libp2p has them, with half the packets. What travels here is small: beats, tokens, signs of life; and a
 * packet costs some 70 bytes of headers, a system call on either side, and an acknowledgement.
 */

import type { Socket } from 'node:net';
import { noise } from '@libp2p/noise';
import { type YamuxMuxerInit, yamux } from '@libp2p/yamux';
import { MESH } from '../limits/mesh.ts';

/**
 * libp2p writes the length of a Noise message and the message one after the other, and with `TCP_NODELAY` as two packets.
 * Written in one go they are one.
 */
export function noiseInOneWrite(): ReturnType<typeof noise> {
  const create = noise();
  return (components) => {
    const encrypter = create(components);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    encrypter.secureInbound = (connection, options) => secureInbound(inOneWrite(connection), options);
    encrypter.secureOutbound = (connection, options) => secureOutbound(inOneWrite(connection), options);
    return encrypter;
  };
}

/** What is needed of a connection of `@libp2p/tcp`; others have no socket. */
interface Connection {
  readonly socket?: Pick<Socket, 'cork' | 'uncork'>;
  sendData?(data: Iterable<Uint8Array>): unknown;
}

export function inOneWrite<T extends object>(connection: T): T {
  const tcp = connection as Connection;
  const { socket, sendData } = tcp;
  if (socket === undefined || sendData === undefined) return connection;
  tcp.sendData = (data) => {
    socket.cork();
    try {
      return sendData.call(tcp, data);
    } finally {
      socket.uncork();
    }
  };
  return connection;
}

/** A Yamux stream that is open both ways (`StreamState.Established` of `@libp2p/yamux`). */
const ESTABLISHED = 3;

/** What is needed of a Yamux stream. */
interface WindowedStream {
  readonly state: number;
  /** Bytes that the other side may send in all, and still. */
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
  sendWindowUpdate(): void;
}

/**
 * libp2p's Yamux answers every piece of data with a window update, however small. Half a window is soon enough, as in
 * Hashicorp's own: the other side never runs dry while what it sends is read.
 */
export function yamuxWithFewUpdates(init: YamuxMuxerInit = {}): ReturnType<typeof yamux> {
  const create = yamux({ keepAliveInterval: MESH.muxerPingMs, ...init });
  return () => {
    const factory = create();
    const createStreamMuxer = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection) => {
      const muxer = createStreamMuxer(connection);
      const streams = muxer as unknown as { _newStream(...args: unknown[]): WindowedStream };
      const newStream = streams._newStream.bind(muxer);
      streams._newStream = (...args) => withFewUpdates(newStream(...args));
      return muxer;
    };
    return factory;
  };
}

function withFewUpdates(stream: WindowedStream): WindowedStream {
  const sendWindowUpdate = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    const isDue = stream.recvWindowCapacity <= stream.recvWindow / 2;
    if (stream.state !== ESTABLISHED || isDue) sendWindowUpdate();
  };
  return stream;
}
