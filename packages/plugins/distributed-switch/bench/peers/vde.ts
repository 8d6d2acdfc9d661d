import { existsSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../sandbox/readiness.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { guestAddresses, type Path } from "./path.ts";

/** Starts a `vde_switch` in a namespace, and returns the path by which it is joined. */
export async function startVdeSwitch(sandbox: Sandbox, namespace: string): Promise<string> {
  const path = join(sandbox.folder, "vde");
  // Without a terminal and not as a daemon, it ends with its standard input.
  sandbox.start(namespace, "vde_switch", ["-s", path], { stdio: ["pipe", "ignore", "inherit"] });
  await eventually(async () => {
    if (!existsSync(join(path, "ctl"))) throw new Error("vde_switch did not start");
  });
  return path;
}

/** `vde_switch`, with a plug for each tap: as a VM's process would be, and as our switch's helper is. */
export async function vde(sandbox: Sandbox): Promise<Path> {
  const host = await sandbox.namespace("vd");
  const guests = {
    from: await sandbox.namespace("vda"),
    to: await sandbox.namespace("vdb"),
    address: guestAddresses.to,
  };
  const socket = await startVdeSwitch(sandbox, host);
  for (const [guest, address] of [
    [guests.from, guestAddresses.from],
    [guests.to, guestAddresses.to],
  ] as const) {
    sandbox.start(guest, "vde_plug2tap", ["-s", socket, "eth0"], { stdio: ["pipe", "ignore", "inherit"] });
    await eventually(() => sandbox.ip(guest, "link show eth0"));
    await sandbox.offloadsOff(guest, "eth0");
    await sandbox.ip(guest, `addr add ${address}/24 dev eth0\nlink set eth0 up`);
  }
  return { name: "vde_switch", guests };
}
