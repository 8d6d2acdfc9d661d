// A host's runtime that kills itself, as `kill -9` would, at the moment that its second argument names: `<function>:<count>:<before|after>`.
// It makes, starts, stops and deletes a VM; without a moment it starts a VM, says so, and waits.
import childProcess from "node:child_process";
import filePromises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import { OvsdbClient } from "@vdc-os/ovsdb";

const [, , input = "", moment = ""] = process.argv;
const { config, spec }: { readonly config: unknown; readonly spec: VmSpec } = JSON.parse(input);
const [watched = "", count = "0", when = ""] = moment.split(":");
let calls = 0;

function die(now: "before" | "after"): void {
  if (now === when && calls === Number(count)) process.kill(process.pid, "SIGKILL");
}

const { rename, rm } = filePromises;
filePromises.rename = async (from, to) => {
  const counts = watched === "record" && String(to).endsWith("vm.json");
  if (counts) calls += 1;
  if (counts) die("before");
  await rename(from, to);
  if (counts) die("after");
};
filePromises.rm = async (path, options) => {
  const counts = watched === "remove";
  if (counts) calls += 1;
  if (counts) die("before");
  await rm(path, options);
  if (counts) die("after");
};
const { spawn } = childProcess;
function countedSpawn(...args: Parameters<typeof spawn>): ReturnType<typeof spawn> {
  const counts = watched === "spawn" && args[0] === "/bin/sh";
  if (counts) calls += 1;
  if (counts) die("before");
  const child = spawn(...args);
  if (counts) die("after");
  return child;
}
Object.assign(childProcess, { spawn: countedSpawn });
const { transact } = OvsdbClient.prototype;
// 1: the NICs become ports. 2: they are ports no more.
OvsdbClient.prototype.transact = async function (...args) {
  const counts = watched === "ports";
  if (counts) calls += 1;
  if (counts) die("before");
  const result = await transact.apply(this, args);
  if (counts) die("after");
  return result;
};
syncBuiltinESMExports();

const { Kernel, use } = await import("@vdc-os/core/kernel");
const { hypervisor } = await import("@vdc-os/core/compute/v1");
const { default: plugin } = await import("../src/index.ts");
const kernel = new Kernel({ plugins: [use(plugin, { config })] });
await kernel.start();
const host = kernel.get(hypervisor);
const { vmId } = await host.createVm({ name: "web", spec });
await host.startVm({ vmId, generation: 1 });
if (moment === "") {
  console.log(vmId);
  // Until it is killed.
  setInterval(() => undefined, 60_000);
} else {
  await host.stopVm({ vmId, mode: "hard" });
  await host.deleteVm({ vmId });
  await kernel.stop();
}
