/** The story for programs: one JSON object a line. */

import type { Output } from '../world.ts';
import type { DemoEvent, Teller } from './events.ts';

export class JsonLines implements Teller {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  tell(event: DemoEvent): void {
    this.#output.write(`${JSON.stringify(event)}\n`);
  }

  breakOff(): void {}
}
