import { chmodSync, closeSync, existsSync, fchmodSync, fsyncSync, ftruncateSync, mkdirSync, openSync } from "node:fs";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OwnerStamp } from "@vdc-os/core";
import type { AccessMode } from "@vdc-os/core/storage/v1";

/** What is kept of a volume. */
export interface VolumeRecord {
  readonly volumeId: string;
  readonly name: string;
  /** The size that it was created with, and the size now. */
  readonly createdBytes: number;
  readonly capacityBytes: number;
  readonly createdAt: number;
  readonly owner?: OwnerStamp | undefined;
  /** The highest attachment generation that was seen. It never falls. */
  readonly highest: number;
  /** Its owner, whose generation is `highest`. */
  readonly attached?: { readonly host: string; readonly access: AccessMode } | undefined;
}

/** A folder with a raw file for each volume, and `volumes.json`, which is replaced whole. What returned from here is on disk. */
export class VolumeFolder {
  readonly #path: string;
  readonly #records: Map<string, VolumeRecord>;

  constructor(path: string) {
    this.#path = path;
    mkdirSync(path, { recursive: true });
    const files = readdirSync(path);
    const text = files.includes("volumes.json") ? readFileSync(join(path, "volumes.json"), "utf8") : "[]";
    this.#records = new Map((JSON.parse(text) as VolumeRecord[]).map((record) => [record.volumeId, record]));
    // A create or a delete that a kill cut short has left a file that no record names.
    for (const file of files.filter((name) => name.endsWith(".raw"))) {
      if (!this.#records.has(file.slice(0, -".raw".length))) rmSync(join(path, file));
    }
  }

  get(volumeId: string): VolumeRecord | undefined {
    return this.#records.get(volumeId);
  }

  /** In order of name. */
  list(): readonly VolumeRecord[] {
    return [...this.#records.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Makes or changes a volume. Its file comes first: a record never promises what is not there. */
  save(record: VolumeRecord): void {
    const path = this.dataPath(record.volumeId);
    if (existsSync(path)) chmodSync(path, 0o600);
    const file = openSync(path, "a", 0o600);
    ftruncateSync(file, record.capacityBytes);
    if (record.attached?.access === "readOnly") fchmodSync(file, 0o400);
    fsyncSync(file);
    closeSync(file);
    this.#write(new Map(this.#records).set(record.volumeId, record));
    this.#records.set(record.volumeId, record);
  }

  /** Its record goes first: what a kill leaves then is a file that no record names. */
  remove(volumeId: string): void {
    this.#write(new Map([...this.#records].filter(([id]) => id !== volumeId)));
    this.#records.delete(volumeId);
    rmSync(this.dataPath(volumeId));
  }

  dataPath(volumeId: string): string {
    return join(this.#path, `${volumeId}.raw`);
  }

  allocatedBytes(volumeId: string): number {
    return statSync(this.dataPath(volumeId)).blocks * 512;
  }

  #write(records: ReadonlyMap<string, VolumeRecord>): void {
    const path = join(this.#path, "volumes.json");
    writeFileSync(`${path}.new`, JSON.stringify([...records.values()]), { flush: true, mode: 0o600 });
    renameSync(`${path}.new`, path);
    const folder = openSync(this.#path, "r");
    fsyncSync(folder);
    closeSync(folder);
  }
}
