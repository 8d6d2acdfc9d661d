import { Qcow2Error } from "./qcow2-error.ts";

/**
 * The host clusters that hold an image's own metadata. Every write of guest data asks here first: a damaged or hostile table that points a
 * guest cluster at metadata would otherwise let a guest rewrite the image's structure.
 */
export class MetadataGuard {
  readonly #path: string;
  readonly clusterSize: number;
  readonly #owners = new Map<number, string>();

  constructor(path: string, clusterSize: number) {
    this.#path = path;
    this.clusterSize = clusterSize;
  }

  /** Claims whole clusters. Errors: `CORRUPT` when one of them is claimed already. */
  claim(offset: number, bytes: number, owner: string): void {
    const first = Math.floor(offset / this.clusterSize);
    const end = Math.ceil((offset + bytes) / this.clusterSize);
    for (let cluster = first; cluster < end; cluster++) {
      const other = this.#owners.get(cluster);
      if (other !== undefined) {
        throw new Qcow2Error(
          "CORRUPT",
          `'${this.#path}': the ${owner} at ${offset} overlaps the ${other} at ${cluster * this.clusterSize}`,
        );
      }
      this.#owners.set(cluster, owner);
    }
  }

  release(offset: number, bytes: number): void {
    const first = Math.floor(offset / this.clusterSize);
    const end = Math.ceil((offset + bytes) / this.clusterSize);
    for (let cluster = first; cluster < end; cluster++) this.#owners.delete(cluster);
  }

  /** What a cluster belongs to, if it is metadata. */
  ownerOf(hostOffset: number): string | undefined {
    return this.#owners.get(Math.floor(hostOffset / this.clusterSize));
  }
}
