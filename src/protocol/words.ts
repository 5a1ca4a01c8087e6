/**
 * The four words that two people compare before they accept each other's machine (docs/protocol.md). Both sides show the
 * same four, because both make them from the same three things: the mesh and the two PeerIds.
 */

import { scrypt } from 'node:crypto';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import type { NodeId } from './ids.ts';

/** Every word is one of 2,048. */
const BITS_PER_WORD = 11;
const WORDS = 4;
/** Holds the 44 bits. */
const BYTES = 6;
const SALT = 'gogrid/words/1';

/**
 * Somebody in the middle, who shows one key to the left and another to the right, needs two keys whose words agree: a
 * birthday search over 2^44, some 2^23 tries. With a plain hash that is seconds; scrypt with these parameters makes it
 * CPU-days, and 32 MiB for each try that runs at the same time.
 */
const COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;

/**
 * The words of a pair of nodes, with spaces between; the same whichever is named first. Costs about 0.1 s of another thread.
 * @param networkId 32 bytes
 */
export async function wordsOf(networkId: Uint8Array, one: NodeId, other: NodeId): Promise<string> {
  const [first, second] = [one, other].toSorted();
  const secret = `${Buffer.from(networkId).toString('hex')}/${first}/${second}`;
  const bits = await stretch(secret);
  const words: string[] = [];
  for (let place = 1; place <= WORDS; place++) {
    const word = (bits >> BigInt(BYTES * 8 - place * BITS_PER_WORD)) & BigInt(2 ** BITS_PER_WORD - 1);
    words.push(wordlist[Number(word)] ?? '');
  }
  return words.join(' ');
}

function stretch(secret: string): Promise<bigint> {
  const { promise, resolve, reject } = Promise.withResolvers<bigint>();
  scrypt(secret, SALT, BYTES, COST, (error, key) => {
    if (error === null) resolve(BigInt(`0x${key.toString('hex')}`));
    else reject(error);
  });
  return promise;
}
