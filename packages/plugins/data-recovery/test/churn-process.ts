// A data mover that backs up, restores and prunes until it is killed. Says on its output what was acknowledged.
import { createHash, randomFillSync } from "node:crypto";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createOperationContext } from "@vdc-os/core";
import { Kernel } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { openDataRecovery } from "../src/open-data-recovery.ts";
import { rawFiles } from "./raw-files.ts";

const [folder = "", run = ""] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const context = (): ReturnType<typeof createOperationContext> => createOperationContext();

const kernel = new Kernel();
kernel.provide(storageProvider, "files", rawFiles(join(folder, "volumes")));
await kernel.start();
const { provider } = await openDataRecovery({
  directory: join(folder, "repository"),
  host: "here",
  storage: kernel.all(storageProvider),
  flushBytes: 256 * 1024,
});
// What the run before left of its last backup is finished with what the disk holds still.
for (const { name, subject } of (await provider.status()).runs) {
  const disks = [{ diskId: "d", storage: "files", volumeId: "disk", generation: 1 }];
  const point = await provider.createRecoveryPoint({ name, subject, disks }, context());
  say(`made ${point.recoveryPointId} ${sumOfDisk()}`);
}
for (let step = 0; ; step++) {
  const disk = openSync(join(folder, "volumes", "disk.raw"), "r+");
  for (let n = 0; n < 12; n++) {
    writeSync(disk, randomFillSync(Buffer.alloc(4096)), 0, 4096, Math.floor(Math.random() * 1024) * 4096);
  }
  closeSync(disk);
  const disks = [{ diskId: "d", storage: "files", volumeId: "disk", generation: 1 }];
  const name = `p-${run}-${step}`;
  const point = await provider.createRecoveryPoint({ name, subject: "s", disks }, context());
  say(`made ${point.recoveryPointId} ${sumOfDisk()}`);
  const target = { kind: "new", storage: "files", name: `r-${run}-${step}` } as const;
  const { recoveryPointId } = point;
  const { disks: restored } = await provider.restore({ recoveryPointId, disks: [{ diskId: "d", target }] }, context());
  say(`restored ${restored[0]?.volumeId} ${sumOfDisk()}`);
  if (step % 2 === 1) {
    say("pruning");
    await provider.prune({ keep: { last: 2 } }, context());
    say("pruned");
  }
}

function sumOfDisk(): string {
  return createHash("sha256")
    .update(readFileSync(join(folder, "volumes", "disk.raw")))
    .digest("hex");
}
