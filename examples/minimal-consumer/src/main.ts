import { use } from "@vdc-os/core/kernel";
import { simulator } from "@vdc-os/plugin-simulator";
import { createDatacenter } from "@vdc-os/sdk";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directory = await mkdtemp(join(tmpdir(), "vdc-"));
await using dc = await createDatacenter({ directory, mode: "ephemeral", plugins: [use(simulator())] });
const disk = await dc.volumes.createAndWait({ name: "disk", spec: { storage: "simulated", capacityBytes: 2 ** 30 } });
console.log(`'disk' has ${disk.status.capacityBytes} bytes`);
