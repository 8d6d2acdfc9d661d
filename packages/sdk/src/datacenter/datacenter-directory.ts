import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { objectName, schemaOf, VdcError } from "@vdc-os/core";
import { removeUnfinishedWrites, writeFileAtomic } from "@vdc-os/core/local";
import { z } from "zod";
import type { DatacenterMode } from "./datacenter.ts";

/** What a datacenter's folder says of it. */
interface Identity {
  readonly uid: string;
  readonly name: string;
  readonly mode: DatacenterMode;
  /** Present once the folder is being removed: what is still in it is worth nothing. */
  readonly removing?: true;
}

const identitySchema: z.ZodType<Identity> = schemaOf<Identity>()(
  z.object({
    uid: z.uuid(),
    name: objectName,
    mode: z.enum(["durable", "ephemeral"]),
    removing: z.literal(true).exactOptional(),
  }),
);

const identityFile = "datacenter.json";

/** A datacenter's own folder. */
export class DatacenterDirectory {
  readonly path: string;
  readonly identity: Identity;
  /** Whether something is left to be cleared: of an ephemeral datacenter that was not closed, or of one whose removal was cut short. */
  readonly leftover: boolean;
  /** Whether the folder was made by this opening. */
  readonly fresh: boolean;

  private constructor(path: string, identity: Identity, found: "fresh" | "leftover" | "durable") {
    this.path = path;
    this.identity = identity;
    this.leftover = found === "leftover";
    this.fresh = found === "fresh";
  }

  /** The one path of a folder, by which it is locked. The folder is made when it is not there. */
  static async locate(path: string): Promise<string> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return realpath(path);
  }

  /**
   * Takes up a datacenter's folder, or makes it of an empty one. A folder with other content, or of a datacenter of another mode, is refused. The caller holds
   * the folder's lock.
   */
  static async open(real: string, name: string, mode: DatacenterMode): Promise<DatacenterDirectory> {
    // Whoever had it open before may have removed it just now.
    await mkdir(real, { recursive: true, mode: 0o700 });
    await removeUnfinishedWrites(join(real, identityFile));
    const present = await readIdentity(real);
    if (present?.removing) return new DatacenterDirectory(real, { uid: present.uid, name, mode }, "leftover");
    if (present !== undefined) {
      if (present.mode !== mode) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `'${real}' holds the ${present.mode} datacenter '${present.name}': open it as such, or take another folder`,
          { reason: "VDC_DATACENTER_MODE" },
        );
      }
      return new DatacenterDirectory(real, present, mode === "ephemeral" ? "leftover" : "durable");
    }
    if ((await readdir(real)).length > 0) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `'${real}' is not empty, and is no datacenter's folder: take an empty one`,
        {
          reason: "VDC_FOREIGN_DIRECTORY",
        },
      );
    }
    const identity: Identity = { uid: randomUUID(), name, mode };
    await writeIdentity(real, identity);
    return new DatacenterDirectory(real, identity, "fresh");
  }

  /** The folder of a host. */
  host(name: string): string {
    return join(this.path, "hosts", name);
  }

  /** Removes everything but the identity, so that what was stamped with it is still known as ours. */
  async clear(): Promise<void> {
    await this.#empty();
    await writeIdentity(this.path, this.identity);
  }

  /** Removes the folder. Cut short at any moment, it is gone on with when the folder is opened again. */
  async remove(): Promise<void> {
    await writeIdentity(this.path, { ...this.identity, removing: true });
    await this.#empty();
    await rm(this.path, { recursive: true, force: true });
  }

  async #empty(): Promise<void> {
    for (const entry of await readdir(this.path)) {
      if (entry !== identityFile) await rm(join(this.path, entry), { recursive: true, force: true });
    }
  }
}

function writeIdentity(directory: string, identity: Identity): Promise<void> {
  return writeFileAtomic(join(directory, identityFile), `${JSON.stringify(identity, undefined, 2)}\n`);
}

async function readIdentity(directory: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, identityFile), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return identitySchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new VdcError("DATA_LOSS", `'${join(directory, identityFile)}' is damaged: restore it from a backup`, {
      cause,
    });
  }
}
