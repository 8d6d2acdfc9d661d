import { VdcError } from "@vdc-os/core";

/** What is being changed now. One call at a time changes an object; the others are told to try again. */
export class BusyKeys {
  readonly #busy = new Map<string, string>();

  /** Runs a change alone. Throws `ABORTED` while another one of that key runs. */
  async alone<T>(key: string, what: string, run: () => Promise<T>): Promise<T> {
    const present = this.#busy.get(key);
    if (present !== undefined) {
      throw new VdcError("ABORTED", `'${key}' is busy with ${present}: try again`, { reason: "VDC_VOLUME_BUSY" });
    }
    this.#busy.set(key, what);
    try {
      return await run();
    } finally {
      this.#busy.delete(key);
    }
  }
}
