import { describe, expect, it, vi } from 'vitest';
import { systemClock as clock } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import { LOCAL_NETWORK, networkIdOf } from '../protocol/ids.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { LanDiscovery, localAddresses, serviceName } from './lan.ts';

const service = vi.hoisted(() => ({ addEventListener: () => {}, start: vi.fn(), stop: vi.fn() }));
vi.mock('@libp2p/mdns', () => ({ mdns: () => () => service }));

describe('the addresses of an answer from the local network', () => {
  it.each([
    '/ip4/10.1.2.3/tcp/8443',
    '/ip4/172.31.0.1/udp/8443/quic-v1',
    '/ip4/192.168.1.10/tcp/1',
    '/ip4/169.254.7.7/tcp/8443',
    '/ip4/100.64.0.1/tcp/8443',
    '/ip6/fd00::1/tcp/8443',
    '/ip6/fe80::1/udp/8443/quic-v1',
  ])('may be %s', (address) => {
    expect(localAddresses([address])).toEqual([address]);
  });

  it.each([
    '/ip4/8.8.8.8/tcp/443',
    '/ip4/172.32.0.1/tcp/8443',
    '/ip6/2001:db8::1/tcp/8443',
    '/ip6/::ffff:8.8.8.8/tcp/8443',
    '/ip4/224.0.0.251/udp/5353/quic-v1',
    '/ip4/0.0.0.0/tcp/8443',
    '/dns4/example.org/tcp/443',
    '/dnsaddr/bootstrap.example.org',
    '/ip4/10.0.0.1/tcp/8443/ws',
    '/ip4/10.0.0.1/tcp/8443/p2p/12D3KooW/p2p-circuit',
    '/unix/tmp/socket',
    '',
  ])('may not be %s: an answer does not send this node into the world', (address) => {
    expect(localAddresses([address, '/ip4/10.0.0.2/tcp/1'])).toEqual(['/ip4/10.0.0.2/tcp/1']);
  });

  it('may be this machine itself only when there is no other', () => {
    const [own, lan] = ['/ip4/127.0.0.1/tcp/8443', '/ip4/192.168.1.10/tcp/8443'];
    expect(localAddresses([own])).toEqual([own]);
    expect(localAddresses([own, lan])).toEqual([lan]);
  });

  it('are few', () => {
    const many = Array.from({ length: 100 }, (_, n) => `/ip4/10.0.0.${n}/tcp/8443`);
    expect(localAddresses(many)).toHaveLength(MESH.maxFoundAddresses);
  });
});

it('every mesh has a name of its own in the local network, as short as the standard wants it', () => {
  const name = serviceName(networkIdOf(LOCAL_NETWORK));
  expect(name).toMatch(/^_gogrid-[0-9a-f]{8}\._udp\.local$/);
  expect(name.split('.')[0]?.length).toBeLessThanOrEqual(16);
  expect(serviceName(networkIdOf({ ...LOCAL_NETWORK, name: 'other' }))).not.toBe(name);
});

describe('multicast DNS that breaks while it starts', () => {
  it('is no reason not to run, and is stopped like one that started', async () => {
    service.start.mockRejectedValueOnce(new Error('the socket is open, and the query failed'));
    const warn = vi.fn();
    const log = { ...silentLogger, warn };
    const lan = new LanDiscovery(networkIdOf(LOCAL_NETWORK), { addresses: () => [], onFound: () => {}, clock, log });
    await lan.start();
    expect(warn).toHaveBeenCalledOnce();
    await lan.stop();
    await lan.stop();
    expect(service.stop).toHaveBeenCalledOnce();
  });
});
