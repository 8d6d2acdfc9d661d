import { VdcError } from "@vdc-os/core";

/** What changes volumes now. One call at a time changes a volume; the others are told to try again. */
export class VolumeLocks {
  readonly #changes = new Map<string, string>();
  readonly #pins = new Map<string, number>();

  /** Runs a change of a volume alone. Throws `ABORTED` while another one runs, or the volume is being cloned. */
  async alone<T>(volumeId: string, what: string, run: () => Promise<T>): Promise<T> {
    const busy = this.#changes.get(volumeId) ?? (this.#pins.has(volumeId) ? "clone" : undefined);
    if (busy !== undefined) throw busyError(volumeId, busy);
    this.#changes.set(volumeId, what);
    try {
      return await run();
    } finally {
      this.#changes.delete(volumeId);
    }
  }

  /** Runs while nothing may change a volume. Many can at once. Throws `ABORTED` while a change runs. */
  async pinned<T>(volumeId: string, run: () => Promise<T>): Promise<T> {
    const busy = this.#changes.get(volumeId);
    if (busy !== undefined) throw busyError(volumeId, busy);
    this.#pins.set(volumeId, (this.#pins.get(volumeId) ?? 0) + 1);
    try {
      return await run();
    } finally {
      const left = (this.#pins.get(volumeId) ?? 1) - 1;
      if (left === 0) this.#pins.delete(volumeId);
      else this.#pins.set(volumeId, left);
    }
  }
}

function busyError(volumeId: string, what: string): VdcError {
  return new VdcError("ABORTED", `volume '${volumeId}' is busy with ${what}: try again`, { reason: "VDC_VOLUME_BUSY" });
}
