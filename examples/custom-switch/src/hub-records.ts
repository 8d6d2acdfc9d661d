import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { ConnectPort, SpecRecord } from "@vdc-os/core/network/v1";

/** What outlives the process about a port: who may have it, and who has. */
export interface PortRecord {
  /** Owners below this generation are kept out, for good. */
  readonly lowest: number;
  readonly connected?: ConnectPort;
}

/** What outlives the process about a switch. */
export interface SwitchRecord extends SpecRecord {
  readonly ports: Readonly<Record<string, PortRecord>>;
}

/** A file with all switches, which is replaced whole. What returned from here is on disk. */
export class HubRecords {
  readonly #directory: string;
  #all: ReadonlyMap<string, SwitchRecord>;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#all = new Map(Object.entries(this.#read()));
  }

  get(switchId: string): SwitchRecord | undefined {
    return this.#all.get(switchId);
  }

  all(): readonly SwitchRecord[] {
    return [...this.#all.values()];
  }

  /** Puts a record on disk, and then into memory; `undefined` removes it. */
  set(switchId: string, record: SwitchRecord | undefined): void {
    const next = new Map(this.#all);
    if (record === undefined) next.delete(switchId);
    else next.set(switchId, record);
    this.#write(Object.fromEntries(next));
    this.#all = next;
  }

  #read(): Record<string, SwitchRecord> {
    try {
      return JSON.parse(readFileSync(join(this.#directory, "switches.json"), "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
      throw error;
    }
  }

  #write(records: Record<string, SwitchRecord>): void {
    const path = join(this.#directory, "switches.json");
    const file = openSync(`${path}.new`, "w", 0o600);
    writeSync(file, JSON.stringify(records));
    fsyncSync(file);
    closeSync(file);
    renameSync(`${path}.new`, path);
    const folder = openSync(this.#directory, "r");
    fsyncSync(folder);
    closeSync(folder);
  }
}
