import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { runSuite } from "@vdc-os/ready";
import { cloudSuite } from "@vdc-os/ready/cloud";
import { createDatacenter } from "@vdc-os/sdk";
import puddle from "./plugin.ts";
import { PuddleCloud } from "./puddle-cloud.ts";
import { createInstance } from "./puddle-instance.ts";

const cloud = await PuddleCloud.open("correct-horse");
const directory = await mkdtemp(join(tmpdir(), "vdc-"));
const dc = await createDatacenter({
  directory,
  mode: "ephemeral",
  plugins: [
    use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
    use(fileSecretStore, {
      config: { path: join(directory, "secrets"), keyFile: join(directory, "key"), createKeyFile: true },
    }),
    use(puddle, { config: { name: "puddle", url: cloud.url, secret: "puddle-token" } }),
  ],
});
try {
  await dc.secrets.put({ name: "puddle-token", value: "correct-horse" });
  const spec = { cloud: "puddle", image: "debian", size: "small", networks: ["room"] };
  const { status } = await dc.cloudInstances.createAndWait({ name: "web-1", spec });
  console.log(`'web-1' is ${status.instanceId}, and ${status.state}`);
} finally {
  await dc.close();
}
console.log(`machines that are left in the cloud: ${cloud.machines.size}`);
await cloud[Symbol.asyncDispose]();

const report = await runSuite(cloudSuite, { create: createInstance });
const count = (status: string): number => report.results.filter((result) => result.status === status).length;
for (const { id, transport, status, message } of report.results) {
  if (status !== "pass" && status !== "not-applicable") console.log(`${status}  ${id} (${transport}): ${message}`);
}
console.log(
  `${report.point} ${report.contractVersion}: ${count("pass")} passed, ${count("not-applicable")} not applicable`,
);
console.log(`verdict: ${report.verdict}`);
if (report.verdict === "failure") process.exitCode = 1;
