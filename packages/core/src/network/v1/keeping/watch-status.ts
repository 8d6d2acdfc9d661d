import { isDeepStrictEqual } from "node:util";
import type { WatchItem } from "../../../contract/watch-item.ts";
import type { SwitchStatus } from "../port.ts";
import type { ChangeSignal } from "./change-signal.ts";

/** What {@link watchStatus} looks at. */
export interface WatchStatusOptions {
  /** The status to begin with. Throws `NOT_FOUND`. */
  readonly first: () => SwitchStatus;
  /** Undefined when the switch has gone. */
  readonly now: () => SwitchStatus | undefined;
  /** Told whenever the status may be another, and when the provider closes. */
  readonly changes: ChangeSignal;
  /** Nobody watches any more. */
  readonly signal: AbortSignal;
  readonly isClosed: () => boolean;
}

/** Tells a switch's status, and each one that differs from the last. What changes while the watcher is slow is told as one. */
export async function* watchStatus(options: WatchStatusOptions): AsyncIterable<WatchItem<SwitchStatus>> {
  const { first, changes, signal, isClosed } = options;
  let told: SwitchStatus | undefined = first();
  let last = told;
  yield { type: "added", object: told };
  for (;;) {
    // Asked for before the look, so that no change falls between.
    const changed = changes.next(signal);
    const now = options.now();
    if (!isDeepStrictEqual(now, told)) {
      const type = now === undefined ? "deleted" : told === undefined ? "added" : "modified";
      told = now;
      last = now ?? last;
      yield { type, object: last };
      continue;
    }
    if (signal.aborted || isClosed()) return;
    await changed;
    if (signal.aborted || isClosed()) return;
  }
}
