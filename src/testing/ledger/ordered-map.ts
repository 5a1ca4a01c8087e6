/** A map that can be read in the order of its keys. */

export class OrderedMap<Value> {
  readonly #values = new Map<string, Value>();
  /** In order. */
  readonly #keys: string[] = [];

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  /** `undefined` removes. */
  set(key: string, value: Value | undefined): void {
    const there = this.#values.has(key);
    if (value === undefined) {
      if (this.#values.delete(key)) this.#keys.splice(this.#placeOf(key), 1);
      return;
    }
    this.#values.set(key, value);
    if (!there) this.#keys.splice(this.#placeOf(key), 0, key);
  }

  copy(): OrderedMap<Value> {
    const copied = new OrderedMap<Value>();
    for (const key of this.#keys) copied.set(key, this.#values.get(key));
    return copied;
  }

  /** The first key that is not before this one. */
  firstFrom(key: string): string | undefined {
    return this.#keys[this.#placeOf(key)];
  }

  /** @param to comes no more */
  keys(from: string, to: string): string[] {
    return this.#keys.slice(this.#placeOf(from), this.#placeOf(to));
  }

  range(from: string, to: string): Value[] {
    return this.keys(from, to).map((key) => this.#values.get(key) as Value);
  }

  /** How many keys are before this one. */
  #placeOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
