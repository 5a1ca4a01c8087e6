/** The figures of a run, as they are printed. */

export class Figures {
  readonly strikes = new Map<string, number>();
  readonly answers = new Map<string, number>();
  /** Milliseconds, by kind of strike. */
  readonly stillness = new Map<string, number[]>();
  /** What must not be, with what is needed to find it. */
  readonly violations: string[] = [];
  words = 0;
  handOvers = 0;

  struck(kind: string): void {
    this.strikes.set(kind, (this.strikes.get(kind) ?? 0) + 1);
  }

  answered(kind: string): void {
    this.answers.set(kind, (this.answers.get(kind) ?? 0) + 1);
  }

  stoodStill(kind: string, ms: number): void {
    const times = this.stillness.get(kind);
    if (times === undefined) this.stillness.set(kind, [ms]);
    else times.push(ms);
  }

  violated(what: string): void {
    this.violations.push(what);
  }

  get strikesInAll(): number {
    return sum(this.strikes);
  }

  summary(): string {
    return `${this.strikesInAll} strikes, answers: ${counts(this.answers)}, ${this.handOvers} hand-overs`;
  }

  lines(): string[] {
    const still = [...this.stillness].toSorted().map(([kind, times]) => {
      const [p50, p99, most] = [quantile(times, 0.5), quantile(times, 0.99), quantile(times, 1)];
      return `  ${kind.padEnd(7)} p50 ${p50} ms, p99 ${p99} ms, most ${most} ms (${times.length} times)`;
    });
    return [
      `strikes     ${this.strikesInAll}: ${counts(this.strikes)}`,
      `answers     ${sum(this.answers)}: ${counts(this.answers)}`,
      `words       ${this.words} delivered and compared`,
      `hand-overs  ${this.handOvers}`,
      'the text stood still',
      ...still,
      ...this.violations.slice(0, 20).map((violation) => `VIOLATION   ${violation}`),
    ];
  }
}

/** The smallest of the values that is not below so much of them; whole milliseconds. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN);
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

function counts(of: ReadonlyMap<string, number>): string {
  return [...of]
    .toSorted()
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ');
}
