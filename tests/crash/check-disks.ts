import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import { markerOffset } from "../datacenter/boot-disk.ts";
import { markerOf } from "./choose-operation.ts";
import type { Snapshot } from "./manager-protocol.ts";

const run = promisify(execFile);

/** Reads the content of every volume that no VM has attached. Says which are not what they were made of. */
export async function checkContents(directory: string, snapshot: Snapshot): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const { kind, name, status } of snapshot.objects) {
    if (kind !== "Volume" || status.volumeId === undefined || status.attachedTo !== undefined) continue;
    const marker = markerOf(name);
    try {
      const image = await Qcow2Image.open(imagePath(directory, String(status.volumeId)), {
        readOnly: true,
        resolveBacking: backingFolder(join(directory, "pool", "volumes")),
      });
      try {
        if (marker === undefined) continue;
        const buffer = Buffer.alloc(marker.length);
        await image.read(buffer, markerOffset);
        const found = buffer.toString("latin1");
        if (found !== marker) problems.push(`volume '${name}' holds ${JSON.stringify(found)}`);
      } finally {
        await image.close();
      }
    } catch (error) {
      problems.push(`volume '${name}' can't be read: ${String(error)}`);
    }
  }
  return problems;
}

/** Has `qemu-img` check every image of the pool. None may be in use. */
export async function checkImages(directory: string, snapshot: Snapshot): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const volumeId of snapshot.poolVolumes) {
    await run("qemu-img", ["check", "-q", "-f", "qcow2", imagePath(directory, volumeId)]).catch((error: Error) => {
      problems.push(`qemu-img check of '${volumeId}': ${error.message}`);
    });
  }
  return problems;
}

function imagePath(directory: string, volumeId: string): string {
  return join(directory, "pool", "volumes", volumeId, "disk.qcow2");
}
