import { task } from "./run-task.ts";

/** A published package, packed as it would be published. */
export interface PackedPackage {
  readonly name: string;
  /** The path of its tarball. */
  readonly tarball: string;
}

/** Every published package. They are packed once for each state of the sources, whichever test asks first. */
export async function packedPackages(): Promise<readonly PackedPackage[]> {
  return JSON.parse(await task("packed")) as readonly PackedPackage[];
}
