import { VdcError } from "@vdc-os/core";

/** What changes volumes and snapshots now. One call at a time changes one; the others are told to try again. */
export class VolumeLocks {
  readonly #changes = new Map<string, string>();
  readonly #pins = new Map<string, number>();

  /** Whether something changes it or needs it now. */
  isBusy(id: string): boolean {
    return this.#changes.has(id) || this.#pins.has(id);
  }

  /** Runs a change alone. Throws `ABORTED` while another one runs, or something needs it as it is. */
  async alone<T>(id: string, what: string, run: () => Promise<T>): Promise<T> {
    const busy = this.#changes.get(id) ?? (this.#pins.has(id) ? "a clone or a snapshot" : undefined);
    if (busy !== undefined) throw busyError(id, busy);
    this.#changes.set(id, what);
    try {
      return await run();
    } finally {
      this.#changes.delete(id);
    }
  }

  /** Runs a change of several alone. */
  aloneWithAll<T>(ids: readonly string[], what: string, run: () => Promise<T>): Promise<T> {
    const [first, ...rest] = ids;
    return first === undefined ? run() : this.alone(first, what, () => this.aloneWithAll(rest, what, run));
  }

  /** Runs while nothing may change it. Many can at once. Throws `ABORTED` while a change runs. */
  async pinned<T>(id: string, run: () => Promise<T>): Promise<T> {
    const busy = this.#changes.get(id);
    if (busy !== undefined) throw busyError(id, busy);
    this.pin(id, 1);
    try {
      return await run();
    } finally {
      this.unpin(id);
    }
  }

  /** Keeps it from being changed, for a number of users, each of which ends it with {@link unpin}. Nothing may change it now. */
  pin(id: string, users: number): void {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + users);
  }

  unpin(id: string): void {
    const left = (this.#pins.get(id) ?? 1) - 1;
    if (left === 0) this.#pins.delete(id);
    else this.#pins.set(id, left);
  }
}

/** The lock of a snapshot: ids of snapshots and volumes may be the same. */
export function snapshotLock(snapshotId: string): string {
  return `snapshot ${snapshotId}`;
}

function busyError(id: string, what: string): VdcError {
  return new VdcError("ABORTED", `'${id}' is busy with ${what}: try again`, { reason: "VDC_VOLUME_BUSY" });
}
