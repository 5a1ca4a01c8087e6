/**
 * Noise and Yamux as libp2p has them, with half the packets. What travels here is small: beats, tokens, signs of life; and a
 * packet costs some 70 bytes of headers, a system call on either side, and an acknowledgement.
 *
 * What is changed here is libp2p's inside, which the next version may name otherwise: where it is not found, all stays as
 * libp2p has it.
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
  readonly socket?: Partial<Pick<Socket, 'cork' | 'uncork'>>;
  sendData?(data: Iterable<Uint8Array>): unknown;
}

export function inOneWrite<T extends object>(connection: T): T {
  const tcp = connection as Connection;
  const { socket, sendData } = tcp;
  if (typeof socket?.cork !== 'function' || typeof socket.uncork !== 'function') return connection;
  if (typeof sendData !== 'function') return connection;
  tcp.sendData = (data) => {
    socket.cork?.();
    try {
      return sendData.call(tcp, data);
    } finally {
      socket.uncork?.();
    }
  };
  return connection;
}

/** A Yamux stream that is open both ways (`StreamState.Established` of `@libp2p/yamux`). */
const ESTABLISHED = 3;

/** What is needed of a Yamux muxer. */
interface Muxer {
  _newStream?(...args: unknown[]): object;
}

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
    factory.createStreamMuxer = (connection) => withFewUpdates(createStreamMuxer(connection));
    return factory;
  };
}

export function withFewUpdates<T extends object>(muxer: T): T {
  const inner = muxer as Muxer;
  const newStream = inner._newStream;
  if (typeof newStream !== 'function') return muxer;
  inner._newStream = (...args) => {
    const stream = newStream.apply(muxer, args);
    return hasWindow(stream) ? updatingSeldom(stream) : stream;
  };
  return muxer;
}

function hasWindow(stream: object): stream is WindowedStream {
  const { state, recvWindow, recvWindowCapacity, sendWindowUpdate } = stream as Partial<WindowedStream>;
  const figures = [state, recvWindow, recvWindowCapacity];
  return figures.every((figure) => typeof figure === 'number') && typeof sendWindowUpdate === 'function';
}

function updatingSeldom(stream: WindowedStream): WindowedStream {
  const sendWindowUpdate = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    const isDue = stream.recvWindowCapacity <= stream.recvWindow / 2;
    if (stream.state !== ESTABLISHED || isDue) sendWindowUpdate();
  };
  return stream;
}
