/** How long no text came after a strike. */
export class Stillness {
  ms = 0;
  #since: number | undefined;

  begin(): void {
    this.#since = performance.now();
  }

  /** Text came. */
  hear(): void {
    if (this.#since === undefined) return;
    this.ms = Math.max(this.ms, performance.now() - this.#since);
    this.#since = performance.now();
  }
}
