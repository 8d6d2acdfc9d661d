import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Fabric } from "./fabric.ts";

const QEMU = "qemu-system-x86_64";

/** Whether QEMU is here; says loudly when it isn't, and fails where it must be. */
function hasQemu(): boolean {
  const { status, stdout } = spawnSync(QEMU, ["-netdev", "help"], { encoding: "utf8" });
  if (status === 0 && /^stream$/m.test(stdout)) return true;
  const missing = `${QEMU} with -netdev stream (7.2 or later) is not installed`;
  if (process.env.CI) throw new Error(`${missing}; it must be where CI is set`);
  console.warn(`SKIPPED: ${missing}, so no real VM was attached to the switch`);
  return false;
}

function isDhcpDiscover(frame: Buffer): boolean {
  if (frame.length < 14 + 20 + 8 + 240 || frame.readUInt16BE(12) !== 0x0800) return false;
  const udp = frame.subarray(14 + (frame.readUInt8(14) & 0x0f) * 4);
  if (frame.readUInt8(23) !== 17 || udp.readUInt16BE(0) !== 68 || udp.readUInt16BE(2) !== 67) return false;
  const options = udp.subarray(8 + 240);
  return options.includes(Buffer.from([53, 1, 1]));
}

it.runIf(hasQemu())(
  "switches the DHCP DISCOVER of a real VM to another port, again after the data plane was restarted",
  async () => {
    await using fabric = await Fabric.create();
    const path = join(fabric.directory, "vm.sock");
    const macAddress = "52:54:00:12:34:56";
    const vm = spawn(
      QEMU,
      [
        ...["-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg", "-m", "64", "-boot", "n"],
        ...["-netdev", `stream,id=n0,server=on,addr.type=unix,addr.path=${path}`],
        ...["-device", `virtio-net-pci,netdev=n0,mac=${macAddress}`],
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
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
