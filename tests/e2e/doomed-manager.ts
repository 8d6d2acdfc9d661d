// A manager that is going to be killed: it opens a datacenter, starts a VM, says so, and goes on until then.
import type { DatacenterMode } from "@vdc-os/sdk";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";

const [directory = "", outside = "", mode = ""] = process.argv.slice(2);
const dc = await openRealDatacenter({ directory, outside, virtualMachines: true, mode: mode as DatacenterMode });
const content = { kind: "file", path: `${outside}/golden.raw`, format: "raw" } as const;
await dc.volumes.createAndWait({ name: "golden", spec: { storage: "storage", content } });
await dc.images.createAndWait({ name: "image", spec: { boot: { kind: "disk" }, volume: "golden" } });
await dc.switches.createAndWait({
  name: "fabric",
  spec: { network: "network", hosts: ["h1", "h2"], portGroups: [{ name: "web" }] },
});
const nics = [{ switch: "fabric", portGroup: "web" }];
await dc.vms.createAndWait({ name: "vm", spec: { image: "image", cpus: 1, memoryBytes: 16 << 20, nics } });
await dc.vms.waitForConsole("vm", /abc/);
process.stdout.write("ready\n");
setInterval(() => {}, 1_000);
