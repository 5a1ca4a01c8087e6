/** The number of profiles and beats that a node keeps, on a disk that is always there. */

import { Numbers } from '../capabilities/numbers.ts';
import type { Clock } from '../clock.ts';

/** Stays when the node is gone; 0 on a new one. */
export interface NumberDisk {
  number: number;
}

/** As at a start of the node. */
export function numbersOn(disk: NumberDisk, clock: Clock): Numbers {
  const keep = async (number: number) => {
    disk.number = number;
  };
  const numbers = new Numbers(disk.number, { clock, keep });
  void numbers.keepAhead();
  return numbers;
}
