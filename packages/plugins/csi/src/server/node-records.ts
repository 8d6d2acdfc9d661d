import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { VdcError } from "@vdc-os/core";
import { syncDirectory, writeFileAtomic } from "@vdc-os/core/local";
import { z } from "zod";
import { type Presented, presented } from "./volume-presenter.ts";

/** What a node did at a path: staged a volume, or published it. */
export interface NodeRecord {
  readonly volumeId: string;
  readonly path: string;
  readonly access: "readWrite" | "readOnly";
  /** What stands there. Absent when it was begun, and not finished. */
  readonly presented?: Presented | undefined;
}

const nodeRecord: z.ZodType<NodeRecord> = z.object({
  volumeId: z.string(),
  path: z.string(),
  access: z.enum(["readWrite", "readOnly"]),
  presented: presented.optional(),
});

/**
 * What a node staged and published, a file each in a folder of mode 0700. The node's service takes away only what is on record here, so that no
 * request makes it touch other files.
 */
export class NodeRecords {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<NodeRecords> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await chmod(directory, 0o700);
    return new NodeRecords(directory);
  }

  async find(path: string): Promise<NodeRecord | undefined> {
    const text = await readFile(this.#file(path), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    try {
      return nodeRecord.parse(JSON.parse(text));
    } catch (cause) {
      throw new VdcError("DATA_LOSS", `the record of '${path}' is damaged`, { cause });
    }
  }

  async save(record: NodeRecord): Promise<void> {
    await writeFileAtomic(this.#file(record.path), JSON.stringify(record));
  }

  async remove(path: string): Promise<void> {
    await rm(this.#file(path), { force: true });
    await syncDirectory(this.#directory);
  }

  #file(path: string): string {
    return join(this.#directory, `${createHash("sha256").update(path).digest("hex").slice(0, 40)}.json`);
  }
}
