import { z } from "zod";

/**
 * One item of a watch. Watches are level-triggered: what counts is the object in the latest item, not how many items came.
 * `resync` says that items may have been missed: list again, and go on from there.
 */
export type WatchItem<T> =
  | { readonly type: "added" | "modified" | "deleted"; readonly object: T }
  | { readonly type: "resync"; readonly reason: string };

/** Schema of a {@link WatchItem}. */
export function watchItemOf<T>(object: z.ZodType<T>): z.ZodType<WatchItem<T>> {
  return z.discriminatedUnion("type", [
    z.object({ type: z.enum(["added", "modified", "deleted"]), object }),
    z.object({ type: z.literal("resync"), reason: z.string() }),
  ]) as unknown as z.ZodType<WatchItem<T>>;
}
