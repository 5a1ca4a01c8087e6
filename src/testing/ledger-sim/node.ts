/** One simulated machine: a disk and a key, on which its program runs, ends, and starts again. */

import { toGoGridError } from '../../errors.ts';
import { Process } from '../sim/process.ts';
import type { World } from '../sim/world.ts';
import type { Disk } from './disk.ts';
import type { SimMesh } from './mesh.ts';
import type { Program } from './program.ts';

/** Somebody else may die meanwhile whom it asks. */
const STOPS_WITHIN_MS = 60_000;

export interface NodeParts {
  /** Where it is on the mesh; that of a clone is not that of whom it was cloned from. */
  readonly place: number;
  /** Whose key and accounts it has. */
  readonly key: number;
  readonly disk: Disk;
  readonly skewMs: number;
  readonly world: World;
  readonly links: SimMesh;
  readonly build: (node: SimNode, process: Process, isFresh: boolean) => Promise<Program>;
}

export class SimNode {
  readonly place: number;
  readonly key: number;
  readonly disk: Disk;
  /** While it runs and has read its disk. */
  program: Program | undefined;
  process: Process | undefined;
  clockJumpMs = 0;
  readonly #parts: NodeParts;
  readonly #backups = new Map<number, ReturnType<Disk['copy']>>();
  #starts = 0;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.place = parts.place;
    this.key = parts.key;
    this.disk = parts.disk;
  }

  /** Starts its program: with what the disk has kept, and nothing else. */
  start(): void {
    if (this.process !== undefined) return;
    const { world, links, build, skewMs } = this.#parts;
    const process = new Process(this.place, world, () => skewMs + this.clockJumpMs);
    this.process = process;
    this.disk.startedBy(process);
    const isFresh = this.#starts++ === 0 && this.place === this.key;
    build(this, process, isFresh).then(
      (program) => {
        if (this.process !== process) return;
        this.program = program;
        links.attach(program.host);
      },
      (thrown) => {
        const { code, message } = toGoGridError(thrown);
        world.violate('starts', `${code}: ${message} ${thrown instanceof Error ? thrown.stack : ''}`, this.place);
      },
    );
  }

  /** Its program ends in order. */
  async stop(): Promise<void> {
    const { process, program } = this;
    const { world } = this.#parts;
    const late = world.clock.after(STOPS_WITHIN_MS, () => {
      if (this.process !== process || process?.state !== 'running') return;
      world.violate('stops', `not within ${STOPS_WITHIN_MS} ms`, this.place);
    });
    await program?.stop();
    late.cancel();
    if (this.process === process) this.end(true);
  }

  /** Its program is gone. @param hasPower whether all that it wrote gets to its disk */
  end(hasPower: boolean): void {
    const { process } = this;
    if (process === undefined) return;
    this.process = undefined;
    this.program = undefined;
    this.#parts.links.detach(process);
    process.die();
    this.disk.crash(hasPower);
  }

  /** Copies the disk. @param name of the copy */
  backUp(name: number): void {
    this.#backups.set(name, this.disk.copy());
  }

  /** The disk becomes a copy. @returns whether there is one */
  restore(name: number): boolean {
    const copy = this.#backups.get(name);
    if (copy !== undefined) this.disk.restore(copy);
    return copy !== undefined;
  }
}
