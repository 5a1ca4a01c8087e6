/** One at a time, in the order of asking. Who stops waiting leaves no gap. */

export class Lane {
  #busy = false;
  readonly #waiting: (() => void)[] = [];

  /**
   * Waits for its turn.
   * @returns the way out, to be called once; later calls do nothing
   * @throws `signal.reason` when it is aborted before
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#busy) await this.#turn(signal);
    this.#busy = true;
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#busy = false;
      this.#letIn();
    };
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal.removeEventListener('abort', leave);
        // Taken before anybody else runs, so that nobody slips in between.
        this.#busy = true;
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(turn);
    });
  }

  #letIn(): void {
    this.#waiting.shift()?.();
  }
}
