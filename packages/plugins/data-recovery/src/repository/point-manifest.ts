import { createHash } from "node:crypto";
import { type RecoveryPoint, recoveryPoint } from "@vdc-os/core/backup/v1";
import { z } from "zod";

/** What a disk of a point consists of, and what the next run can begin from. */
export interface DiskContent {
  /** The hash of the tree's root, in hex. */
  readonly root: string;
  /** The checkpoint since which changes are tracked, by id and name. Absent where changes are not tracked. */
  readonly checkpoint?: { readonly id: string; readonly name: string };
}

/** A recovery point as the repository keeps it. */
export interface PointManifest {
  readonly point: RecoveryPoint;
  /** In the order of the point's disks. */
  readonly contents: readonly DiskContent[];
}

/** Schema of {@link PointManifest}. Content of a repository is not trusted: what does not fit is damage. */
export const pointManifest: z.ZodType<PointManifest> = z
  .object({
    point: recoveryPoint,
    contents: z.array(
      z.object({
        root: z.string().regex(/^[0-9a-f]{64}$/),
        checkpoint: z.object({ id: z.string().max(256), name: z.string().max(63) }).exactOptional(),
      }),
    ),
  })
  .refine(({ point, contents }) => point.disks.length === contents.length, "each disk needs a content");

/** The key that a name has in a subject: what files of the point and of its run are named after. */
export function keyOf(subject: string, name: string): string {
  return createHash("sha256").update(`${subject}\0${name}`).digest("hex").slice(0, 24);
}
