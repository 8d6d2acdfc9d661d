import { isDeepStrictEqual } from "node:util";
import type { WatchItem } from "@vdc-os/core";
import type { SwitchStatus } from "@vdc-os/core/network/v1";

/** What {@link watchStatus} looks at. */
export interface WatchStatusOptions {
  /** The status to begin with. Throws `NOT_FOUND`. */
  readonly first: () => SwitchStatus;
  /** Undefined when the switch has gone. */
  readonly now: () => SwitchStatus | undefined;
  /** Resolves when the status may be another, or nobody watches any more. */
  readonly changed: () => Promise<void>;
  readonly isOver: () => boolean;
}

/** Tells a switch's status, and each one that differs from the last. What changes while the watcher is slow is told as one. */
export async function* watchStatus(options: WatchStatusOptions): AsyncIterable<WatchItem<SwitchStatus>> {
  const { first, isOver } = options;
  let told: SwitchStatus | undefined = first();
  let last = told;
  yield { type: "added", object: told };
  for (;;) {
    // Asked for before the look, so that no change falls between.
    const changed = options.changed();
    const now = options.now();
    if (!isDeepStrictEqual(now, told)) {
      const type = now === undefined ? "deleted" : told === undefined ? "added" : "modified";
      told = now;
      last = now ?? last;
      yield { type, object: last };
      continue;
    }
    if (isOver()) return;
    await changed;
    if (isOver()) return;
  }
}
