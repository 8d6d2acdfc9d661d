import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kernel, use } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { certify } from "@vdc-os/ready";
import python from "./plugin.ts";

const directory = await mkdtemp(join(tmpdir(), "vdc-python-"));
const kernel = new Kernel({
  plugins: [use(python, { config: { name: "python", directory, capacityBytes: 2 ** 34 } })],
});
try {
  await kernel.start();
  const storage = kernel.get(storageProvider, "python");
  const { name, capacityBytes } = await storage.createVolume({ name: "disk-1", capacityBytes: 2 ** 30 });
  const { provisionedBytes } = await storage.capacity({});
  console.log(`Python made '${name}' of ${capacityBytes} bytes, and has promised ${provisionedBytes}`);
} finally {
  await kernel.stop();
  await rm(directory, { recursive: true });
}

const { suites, problems, verdict } = await certify({ package: join(import.meta.dirname, ".."), transports: ["pipe"] });
for (const problem of problems) console.log(problem);
for (const { point, contractVersion, results } of suites) {
  const count = (status: string): number => results.filter((result) => result.status === status).length;
  for (const { id, transport, status, message } of results) {
    if (status !== "pass" && status !== "not-applicable") console.log(`${status}  ${id} (${transport}): ${message}`);
  }
  console.log(`${point} ${contractVersion}: ${count("pass")} passed, ${count("not-applicable")} not applicable`);
}
console.log(`verdict: ${verdict}`);
if (verdict === "failure") process.exitCode = 1;
