import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { runSuite } from "@vdc-os/ready";
import { networkSuite } from "@vdc-os/ready/network";
import { createDatacenter } from "@vdc-os/sdk";
import { createInstance } from "./hub-instance.ts";
import hubSwitch from "./plugin.ts";

const directory = await mkdtemp(join(tmpdir(), "vdc-"));
const dc = await createDatacenter({
  directory,
  mode: "ephemeral",
  plugins: [
    use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
    use(fileSecretStore, {
      config: { path: join(directory, "secrets"), keyFile: join(directory, "key"), createKeyFile: true },
    }),
    use(hubSwitch, { config: { name: "hub", directory: join(directory, "hub") } }),
  ],
});
try {
  const portGroups = [{ name: "web", policy: { vlan: { kind: "access", id: 10 } } }] as const;
  const { metadata } = await dc.switches.createAndWait({
    name: "lan",
    spec: { network: "hub", hosts: ["alpha"], portGroups },
  });
  const { attachment } = await dc.kernel.get(distributedSwitch, "hub").connectPort({
    switchId: metadata.uid,
    portGroup: "web",
    portKey: "nic",
    host: "alpha",
    mac: "52:54:00:00:00:01",
    generation: 1,
  });
  const { members, ports } = await dc.switches.view("lan");
  const told = ports.map(({ portKey, link }) => `${portKey} ${link}`).join(", ");
  console.log(
    `'lan': ${members.map(({ host, state }) => `${host} ${state}`).join(", ")}; ${told}, by ${attachment.kind}`,
  );
  await dc.kernel.get(distributedSwitch, "hub").disconnectPort({
    switchId: metadata.uid,
    portKey: "nic",
    generation: 1,
  });
} finally {
  await dc.close();
}

const report = await runSuite(networkSuite, { create: createInstance });
const count = (status: string): number => report.results.filter((result) => result.status === status).length;
for (const { id, transport, status, message } of report.results) {
  if (status !== "pass" && status !== "not-applicable") console.log(`${status}  ${id} (${transport}): ${message}`);
}
console.log(
  `${report.point} ${report.contractVersion}: ${count("pass")} passed, ${count("not-applicable")} not applicable`,
);
console.log(`verdict: ${report.verdict}`);
if (report.verdict === "failure") process.exitCode = 1;
