import type { VdcError } from "@vdc-os/core";
import { ChangeBitmap } from "./change-bitmap.ts";

/** Says in a checkpoint's bitmap that changes went past it. One that is damaged says that itself. */
export function breakTracking(path: string): void {
  try {
    const bitmap = ChangeBitmap.open(path, { write: true });
    try {
      bitmap.break();
    } finally {
      bitmap.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" && (error as VdcError).code !== "DATA_LOSS") throw error;
  }
}
