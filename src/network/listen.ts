/** Where a node listens: addresses, transports and port, and what to do when the port is taken. */

import { isIP } from 'node:net';
import { GoGridError, systemCode } from '../errors.ts';
import type { Host } from './libp2p.ts';
import type { Transport } from './ports.ts';

export interface ListenOptions {
  /** IP addresses. */
  readonly listen: readonly string[];
  readonly port: number;
  readonly portIsConfigured: boolean;
  readonly transports: readonly Transport[];
}

/**
 * Starts a host on the port, for every transport, or on free ones when nobody asked for just this port and one of them is
 * busy: TCP and UDP ports of one number are opened in a firewall together, and half of them would puzzle more than none.
 * @param makeHost makes a host that listens on these multiaddrs; a host that failed to start cannot be started again
 * @throws GoGridError `port_in_use`, `invalid_config`
 */
export async function startListening(
  options: ListenOptions,
  makeHost: (addresses: readonly string[]) => Promise<Host>,
): Promise<{ readonly host: Host; readonly tookFreePort: boolean }> {
  try {
    return { host: await startOn(options.port), tookFreePort: false };
  } catch (thrown) {
    const error = listenError(thrown, options);
    if (error.code !== 'port_in_use' || options.portIsConfigured) throw error;
  }
  try {
    return { host: await startOn(0), tookFreePort: true };
  } catch (thrown) {
    throw listenError(thrown, options);
  }

  async function startOn(port: number): Promise<Host> {
    const { listen, transports } = options;
    const addresses = listen.flatMap((address) => transports.map((name) => listenAddress(address, port, name)));
    const host = await makeHost(addresses);
    await host.start();
    return host;
  }
}

/** The port in the first of these multiaddrs; undefined without any. */
export function portOf(addresses: readonly string[]): number | undefined {
  const port = /\/(?:tcp|udp)\/(\d+)/.exec(addresses[0] ?? '')?.[1];
  return port === undefined ? undefined : Number(port);
}

/** @throws GoGridError `invalid_config` when it is no IP address */
export function listenAddress(address: string, port: number, transport: Transport = 'tcp'): string {
  const version = isIP(address);
  if (version === 0) {
    throw new GoGridError({
      code: 'invalid_config',
      message: `network.listen: '${address}' is not an IP address`,
      hint: 'give an address of this machine, or 0.0.0.0 or :: for all of them',
    });
  }
  return `/ip${version}/${address}/${transport === 'tcp' ? `tcp/${port}` : `udp/${port}/quic-v1`}`;
}

/** As Node writes them, and as Rust does for QUIC: with the error numbers of Linux, macOS and Windows. */
const REASONS = [
  ['EADDRINUSE', /\bEADDRINUSE\b|os error (98|48|10048)\)/],
  ['EADDRNOTAVAIL', /\bEADDRNOTAVAIL\b|os error (99|49|10049)\)/],
  ['EACCES', /\bEACCES\b|os error (13|10013)\)/],
] as const;

/** libp2p throws one error for all addresses, without a code: the reason stands in its text. */
function listenError(thrown: unknown, { listen, port }: ListenOptions): GoGridError {
  if (thrown instanceof GoGridError) return thrown;
  const text = thrown instanceof Error ? thrown.message : '';
  const code = systemCode(thrown) ?? REASONS.find(([, reason]) => reason.test(text))?.[0];
  const where = listen
    .map((address) => (isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`))
    .join(', ');
  switch (code) {
    case 'EADDRINUSE':
      return new GoGridError({
        code: 'port_in_use',
        message: `network.port: ${where} is in use by another program`,
        hint: 'set network.port to another port, or to 0 for a free one',
        cause: thrown,
        data: { port },
      });
    case 'EADDRNOTAVAIL':
      return invalid(
        `network.listen: ${listen.join(', ')} is not an address of this machine`,
        'see `ip address`',
        thrown,
      );
    case 'EACCES':
      return invalid(
        `network.port: ${where} needs rights that this user does not have`,
        'use a port above 1023',
        thrown,
      );
    default:
      return invalid(`network.listen: cannot listen on ${where}`, 'try 127.0.0.1', thrown);
  }
}

function invalid(message: string, hint: string, cause: unknown): GoGridError {
  return new GoGridError({ code: 'invalid_config', message, hint, cause });
}
