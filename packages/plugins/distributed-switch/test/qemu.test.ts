import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Fabric } from "./fabric.ts";
import { hasQemu, isDhcpDiscover, qemuArguments } from "./qemu-machine.ts";

it.runIf(hasQemu())(
  "switches the DHCP DISCOVER of a real VM to another port, again after the data plane was restarted",
  async () => {
    await using fabric = await Fabric.create();
    const path = join(fabric.directory, "vm.sock");
    const macAddress = "52:54:00:12:34:56";
    const backEnd = `stream,id=n0,server=on,addr.type=unix,addr.path=${path}`;
    const vm = spawn(...qemuArguments(backEnd, macAddress), { stdio: ["ignore", "ignore", "inherit"] });
    try {
      const nic = await fabric.nic();
      for (const round of [1, 2]) {
        const host = await fabric.host();
        host.port("dhcp", nic, { vlan: { kind: "access", id: 7 } });
        const vlan = { kind: "access", id: 7 } as const;
        host.ports.push({ key: "vm", socketPath: path, settings: { macAddress, vlan } });
        await host.applyAndConnect();
        await nic.until(({ frames }) => frames.some(isDhcpDiscover));
        expect(nic.frames.find(isDhcpDiscover)?.subarray(6, 12).toString("hex"), `round ${round}`).toBe("525400123456");
        await host.plane.close();
        await nic.until(({ connected }) => !connected);
        nic.frames.length = 0;
      }
    } finally {
      await stop(vm);
    }
  },
);

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
