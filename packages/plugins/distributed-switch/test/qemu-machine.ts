import { spawnSync } from "node:child_process";

const QEMU = "qemu-system-x86_64";

/** Whether QEMU is here; says loudly when it isn't, and fails where it must be. */
export function hasQemu(): boolean {
  const { status, stdout } = spawnSync(QEMU, ["-netdev", "help"], { encoding: "utf8" });
  if (status === 0 && /^stream$/m.test(stdout)) return true;
  const missing = `${QEMU} with -netdev stream (7.2 or later) is not installed`;
  if (process.env.CI) throw new Error(`${missing}; it must be where CI is set`);
  console.warn(`SKIPPED: ${missing}, so no real VM was attached to the switch`);
  return false;
}

/** The command of a VM without a disk, whose firmware asks for an address by DHCP on a NIC with this back end. */
export function qemuArguments(netdev: string, macAddress: string): [string, string[]] {
  return [
    QEMU,
    [
      ...["-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg", "-m", "64", "-boot", "n"],
      ...["-netdev", netdev, "-device", `virtio-net-pci,netdev=n0,mac=${macAddress}`],
    ],
  ];
}

export function isDhcpDiscover(frame: Buffer): boolean {
  if (frame.length < 14 + 20 + 8 + 240 || frame.readUInt16BE(12) !== 0x0800) return false;
  const udp = frame.subarray(14 + (frame.readUInt8(14) & 0x0f) * 4);
  if (frame.readUInt8(23) !== 17 || udp.readUInt16BE(0) !== 68 || udp.readUInt16BE(2) !== 67) return false;
  const options = udp.subarray(8 + 240);
  return options.includes(Buffer.from([53, 1, 1]));
}
