/**
 * A libp2p host and nothing else, to weigh a node against. `bare-host.js plain` speaks TCP, Noise, Yamux, identify and
 * ping; `bare-host.js services` has gossipsub and the DHT besides, as a node does. Prints its multiaddr.
 */

import { identify } from '@libp2p/identify';
import { noise } from '@libp2p/noise';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';

const base = { identify: identify(), ping: ping() };
const host = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: process.argv[2] === 'services' ? { ...base, ...(await moreServices()) } : base,
});
console.log(String(host.getMultiaddrs()[0]));

/** Loaded only where they are used: code weighs too. */
async function moreServices() {
  const [{ gossipsub }, { kadDHT }] = await Promise.all([import('@libp2p/gossipsub'), import('@libp2p/kad-dht')]);
  return { pubsub: gossipsub(), dht: kadDHT({ protocol: '/gogrid-bench/kad/1' }) };
}
