// A manager that is going to be killed: it opens a datacenter, makes sure that a volume is there and attached, says how the volume is reached, and then
// creates and deletes others, until it is killed or told to end. Its settings are its argument.
import { writeSync } from "node:fs";
import { isVdcError } from "@vdc-os/core";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";

const settings = JSON.parse(process.argv[2] ?? "") as {
  readonly directory: string;
  readonly outside: string;
  readonly capacityBytes: number;
};

const dc = await openRealDatacenter({ ...settings, virtualMachines: false });
const name = "disk";
const volume =
  (await dc.volumes.find(name)) ??
  (await dc.volumes.createAndWait({ name, spec: { storage: "storage", capacityBytes: settings.capacityBytes } }));
const volumeId = volume.status.volumeId ?? "";
const storage = dc.kernel.get(storageProvider, "storage");
const attachment = await storage.attachVolume({ volumeId, host: "h1", access: "readWrite", generation: 1 });
writeSync(1, `${JSON.stringify(attachment.transport)}\n`);

let ends = false;
process.stdin.once("data", () => {
  ends = true;
});
for (let count = 0; !ends; count++) {
  const other = `other-${process.pid}-${count}`;
  await dc.volumes.createAndWait({ name: other, spec: { storage: "storage", capacityBytes: 1 << 20 } });
  await dc.volumes.deleteAndWait(other);
}
process.stdin.pause();
// A storage process that was killed a moment ago may not be back yet: then nobody can say that it has let go, and the call says that it may be repeated.
for (const until = Date.now() + 20_000; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
  try {
    await storage.detachVolume({ volumeId, host: "h1", generation: 1 });
    break;
  } catch (error) {
    if (!isVdcError(error) || !error.retryable || Date.now() > until) throw error;
  }
}
await dc.destroy();
