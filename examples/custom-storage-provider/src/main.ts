import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { runSuite } from "@vdc-os/ready";
import { storageSuite } from "@vdc-os/ready/storage";
import { createDatacenter } from "@vdc-os/sdk";
import { createInstance } from "./folder-instance.ts";
import folderStorage from "./plugin.ts";

const directory = await mkdtemp(join(tmpdir(), "vdc-"));
const dc = await createDatacenter({
  directory,
  mode: "ephemeral",
  plugins: [
    use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
    use(fileSecretStore, {
      config: { path: join(directory, "secrets"), keyFile: join(directory, "key"), createKeyFile: true },
    }),
    use(folderStorage, { config: { name: "folder", directory: join(directory, "pool"), capacityBytes: 2 ** 34 } }),
  ],
});
try {
  const spec = { storage: "folder", capacityBytes: 2 ** 30 };
  await dc.volumes.createAndWait({ name: "disk-1", spec });
  await dc.volumes.apply("disk-1", { capacityBytes: 2 ** 31 }).then(({ task }) => task.wait());
  const { status } = await dc.volumes.get("disk-1");
  console.log(`'disk-1' has grown to ${status.capacityBytes} bytes, and takes ${status.allocatedBytes}`);
} finally {
  await dc.close();
}

const report = await runSuite(storageSuite, { create: createInstance });
const count = (status: string): number => report.results.filter((result) => result.status === status).length;
for (const { id, transport, status, message } of report.results) {
  if (status !== "pass" && status !== "not-applicable") console.log(`${status}  ${id} (${transport}): ${message}`);
}
console.log(
  `${report.point} ${report.contractVersion}: ${count("pass")} passed, ${count("not-applicable")} not applicable`,
);
console.log(`verdict: ${report.verdict}`);
if (report.verdict === "failure") process.exitCode = 1;
