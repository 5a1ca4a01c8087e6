/** Time as an argument: domain code asks a `Clock`, so that a test or a simulation can be the one that lets it pass. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, whole milliseconds since 1970. It may jump: for timestamps only. */
  now(): number;
  /** Milliseconds of a clock that never goes back: for durations. */
  elapsed(): number;
  /** Calls `action` once after `ms` milliseconds; a waiting timer does not keep the process alive. */
  after(ms: number, action: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Calls `action` every `ms` milliseconds, the first time after `ms`, until cancelled. */
export function every(clock: Clock, ms: number, action: () => void): Timer {
  let timer: Timer;
  const again = () => {
    timer = clock.after(ms, () => {
      again();
      action();
    });
  };
  again();
  return { cancel: () => timer.cancel() };
}
