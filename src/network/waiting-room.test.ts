import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { roomFor, sourceOf, type Waiting } from './waiting-room.ts';

const from = (addresses: readonly string[]): Waiting[] =>
  addresses.map((address, n) => ({ node: `${n}`, address, since: n }));
const times = (count: number, address: (n: number) => string) =>
  from(Array.from({ length: count }, (_, n) => address(n)));
const free = { kind: 'free' };
const none = { kind: 'none' };

describe('the waiting room', () => {
  it('has places for so many from one address, whatever their ports', () => {
    const one = times(MESH.maxWaitingPerAddress, (n) => `/ip4/10.0.0.1/tcp/${n}`);
    expect(roomFor('/ip4/10.0.0.1/udp/9/quic-v1', one)).toEqual(none);
    expect(roomFor('/ip4/10.0.0.1/tcp/9', one.slice(1))).toEqual(free);
    expect(roomFor('/ip4/10.0.0.2/tcp/9', one)).toEqual(free);
  });

  it('when it is full, lets the oldest of the most numerous address make room for another address', () => {
    const few = times(4, (n) => `/ip4/10.0.0.${n}/tcp/1`);
    const many = times(MESH.maxWaitingPerAddress, () => '/ip4/10.9.9.9/tcp/1');
    const rest = times(MESH.maxWaiting - 4 - MESH.maxWaitingPerAddress, (n) => `/ip4/10.1.${n % 10}.1/tcp/1`);
    const all = [...few, ...rest, ...many].map((waiting, n) => ({ ...waiting, node: `${n}`, since: n }));
    const oldest = all.find(({ address }) => address.startsWith('/ip4/10.9'))!.node;
    expect(roomFor('/ip4/10.2.0.1/tcp/1', all)).toEqual({ kind: 'taken', from: oldest });
    expect(roomFor('/ip4/10.9.9.9/tcp/2', all)).toEqual(none);
  });

  it('is full at last: nobody is pushed out by a source as large as its own', () => {
    const all = times(MESH.maxWaiting, (n) => `/ip4/10.0.${n}.1/tcp/1`);
    expect(roomFor('/ip4/10.1.0.1/tcp/1', all)).toEqual({ kind: 'taken', from: '0' });
    expect(roomFor('/ip4/10.0.5.1/tcp/1', all)).toEqual(none);
    expect(roomFor('/ip4/10.0.5.1/tcp/1', all.slice(1))).toEqual(free);
  });

  it('holds its two bounds whoever comes, and one address with many keys cannot push out the only one of another', () => {
    const host = fc.integer({ min: 0, max: 200 }).map((n) => `/ip4/10.0.0.${n < 100 ? 1 : n}/tcp/1`);
    fc.assert(
      fc.property(fc.array(host, { maxLength: 300 }), (arrivals) => {
        let inside: Waiting[] = [];
        for (const [n, address] of arrivals.entries()) {
          const room = roomFor(address, inside);
          if (room.kind === 'none') continue;
          const leaves = inside.find(({ node }) => room.kind === 'taken' && node === room.from);
          if (leaves !== undefined) {
            const count = (of: string) => inside.filter((other) => other.address === of).length;
            expect(count(leaves.address)).toBeGreaterThan(count(address));
            expect(leaves).toBe(inside.find((other) => other.address === leaves.address));
          }
          inside = [...inside.filter((other) => other !== leaves), { node: `${n}`, address, since: n }];
          const sizes = [...Map.groupBy(inside, (other) => other.address).values()].map((list) => list.length);
          expect(inside.length).toBeLessThanOrEqual(MESH.maxWaiting);
          expect(Math.max(...sizes)).toBeLessThanOrEqual(MESH.maxWaitingPerAddress);
        }
      }),
    );
  });
});

describe('whom an address stands for', () => {
  it.each([
    ['a network of IPv6', '/ip6/2001:db8::1/tcp/1', '/ip6/2001:db8:0:0:7::1/udp/1/quic-v1', true],
    ['another network of IPv6', '/ip6/2001:db8::1/tcp/1', '/ip6/2001:db8:0:1::1/tcp/1', false],
    ['two machines on one link', '/ip6/fe80::1/tcp/1', '/ip6/fe80::2/tcp/1', false],
    ['two machines at the end of that range', '/ip6/febf::1/tcp/1', '/ip6/febf::2/tcp/1', false],
    ['a network next to that range', '/ip6/fec0::1/tcp/1', '/ip6/fec0::2/tcp/1', true],
    ['one machine on a link, with its zone', '/ip6zone/eth0/ip6/fe80::1/tcp/1', '/ip6/fe80:0:0::1/tcp/2', true],
    ['two machines of a private network', '/ip6/fd00:1:2:3::1/tcp/1', '/ip6/fd00:1:2:3::2/tcp/1', false],
    ['one machine of it, written in two ways', '/ip6/fc00::a/tcp/1', '/ip6/FC00:0:0:0:0:0:0:000A/tcp/1', true],
    ['IPv4 in IPv6', '/ip6/::ffff:192.0.2.1/tcp/1', '/ip4/192.0.2.1/tcp/1', true],
    ['IPv4 in IPv6 in hexadecimal', '/ip6/::ffff:c000:201/tcp/1', '/ip4/192.0.2.1/tcp/1', true],
    ['two of IPv4 in IPv6', '/ip6/::ffff:192.0.2.1/tcp/1', '/ip6/::ffff:192.0.2.2/tcp/1', false],
  ])('%s', (_what, one, other, same) => {
    expect(sourceOf(one) === sourceOf(other)).toBe(same);
  });
});
