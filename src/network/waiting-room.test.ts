import { describe, expect, it } from 'vitest';
import { MESH } from '../limits.ts';
import { hasRoom, type Waiting } from './waiting-room.ts';

const from = (addresses: readonly string[]): Waiting[] =>
  addresses.map((address, n) => ({ node: `${n}`, address, since: 0 }));
const times = (count: number, address: (n: number) => string) =>
  from(Array.from({ length: count }, (_, n) => address(n)));

describe('the waiting room', () => {
  it('has places for so many from one address, whatever their ports', () => {
    const one = times(MESH.maxWaitingPerAddress, (n) => `/ip4/10.0.0.1/tcp/${n}`);
    expect(hasRoom('/ip4/10.0.0.1/udp/9/quic-v1', one)).toBe(false);
    expect(hasRoom('/ip4/10.0.0.1/tcp/9', one.slice(1))).toBe(true);
    expect(hasRoom('/ip4/10.0.0.2/tcp/9', one)).toBe(true);
  });

  it('takes a network of IPv6 for one address', () => {
    const one = times(MESH.maxWaitingPerAddress, (n) => `/ip6/2001:db8::${n.toString(16)}/tcp/1`);
    expect(hasRoom('/ip6/2001:db8:0:0:7::1/tcp/1', one)).toBe(false);
    expect(hasRoom('/ip6/2001:db8:0:1::1/tcp/1', one)).toBe(true);
  });

  it('is full at last', () => {
    const all = times(MESH.maxWaiting, (n) => `/ip4/10.0.${n}.1/tcp/1`);
    expect(hasRoom('/ip4/10.1.0.1/tcp/1', all)).toBe(false);
    expect(hasRoom('/ip4/10.1.0.1/tcp/1', all.slice(1))).toBe(true);
  });
});
