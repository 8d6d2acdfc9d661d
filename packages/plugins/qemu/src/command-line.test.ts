import { isVdcError } from "@vdc-os/core";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import { expect, test } from "vitest";
import { blockNode, checkSpec, commandLine, deviceId } from "./command-line.ts";

const spec: VmSpec = {
  cpus: 2,
  maxCpus: 4,
  memoryBytes: 128 << 20,
  boot: { kind: "kernel", kernel: "/k", initrd: "/i", commandLine: "quiet a=b,c" },
  disks: [
    { id: "disk0", readOnly: false, transport: { kind: "nbd-unix", path: "/run/a,b.sock", exportName: "vol-1" } },
  ],
  nics: [{ id: "nic0", mac: "52:54:00:00:00:01", attachment: { kind: "qemu-stream", path: "/run/n,1.sock" } }],
};

function argumentsOf(change: Partial<VmSpec> = {}): readonly string[] {
  return commandLine({
    name: "web,1",
    uuid: "11111111-2222-4333-8444-555555555555",
    spec: { ...spec, ...change },
    accelerator: "tcg",
    monitorSocket: "/run/v.qmp",
    consoleSocket: "/run/v.con",
    consoleLog: "/vms/v/console.log",
    pidFile: "/vms/v/qemu.pid",
    taps: new Map([["nic0", { name: "vdcq0", offloads: false, mtu: 1400 }]]),
  });
}

function after(args: readonly string[], option: string): readonly string[] {
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1] as string] : []));
}

test("commas in names and paths do not become options", () => {
  const args = argumentsOf();
  expect(after(args, "-name")).toEqual(["guest=web,,1,debug-threads=on"]);
  expect(after(args, "-netdev")[0]).toContain("addr.path=/run/n,,1.sock");
  expect(JSON.parse(after(args, "-blockdev")[0] as string).server.path).toBe("/run/a,b.sock");
  expect(after(args, "-append")).toEqual(["quiet a=b,c"]);
});

test("a tap is opened as it is, and no script is run", () => {
  const attachment = { kind: "tap", interfaceName: "vdc,0" } as const;
  const args = argumentsOf({ nics: [{ ...spec.nics[0]!, attachment }] });
  expect(after(args, "-netdev")).toEqual(["tap,ifname=vdc,,0,script=no,downscript=no,id=nic-nic0"]);
});

test("a port of a bridge is a tap of QEMU's own, without offloads where nobody would finish what is left to the NIC", () => {
  const attachment = { kind: "ovs", bridge: "br0", interfaceId: "i" } as const;
  const nics = [{ ...spec.nics[0]!, attachment }];
  expect(after(argumentsOf({ nics }), "-netdev")).toEqual([
    "tap,ifname=vdcq0,script=no,downscript=no,vnet_hdr=off,id=nic-nic0",
  ]);
  expect(after(argumentsOf({ nics }), "-device").find((device) => device.includes("host_mtu"))).toContain("1400");
  expect(() => checkSpec({ ...spec, nics }, { ovsProblem: undefined })).not.toThrow();
});

test("CPUs and memory leave room to grow only where the spec says so", () => {
  expect(after(argumentsOf(), "-smp")).toEqual(["cpus=2,maxcpus=4,sockets=4,cores=1,threads=1"]);
  expect(after(argumentsOf(), "-m")).toEqual([`size=${128 << 20}b`]);
  expect(after(argumentsOf({ maxMemoryBytes: 256 << 20 }), "-m")[0]).toContain(`maxmem=${256 << 20}b`);
});

test("a VM that boots from disk tries its disks in order, and no kernel", () => {
  const args = argumentsOf({ boot: { kind: "disk" } });
  expect(args).not.toContain("-kernel");
  expect(after(args, "-device").find((device) => device.includes("virtio-blk"))).toContain('"bootindex":1');
});

test("ids that QEMU does not take are replaced, each by another", () => {
  expect(deviceId("disk", "disk0")).toBe("disk-disk0");
  const odd = ["a b", "a,b", "x".repeat(25), "é"].map((id) => deviceId("nic", id));
  expect(new Set(odd).size).toBe(odd.length);
  for (const id of odd) expect(id).toMatch(/^nic-[0-9a-f]{24}$/);
});

test("a disk's file is opened read-only where the disk is", () => {
  const transport = { kind: "file", path: "/d.qcow2", format: "qcow2" } as const;
  expect(blockNode({ id: "d", readOnly: true, transport })).toMatchObject({
    driver: "qcow2",
    "read-only": true,
    file: { driver: "file", "read-only": true },
  });
});

test.each<readonly [string, Partial<VmSpec>, string]>([
  ["fewer CPUs at most than at first", { maxCpus: 1 }, "INVALID_ARGUMENT"],
  ["a disk id that no serial number holds", { disks: [{ ...spec.disks[0]!, id: "d".repeat(21) }] }, "INVALID_ARGUMENT"],
  ["one id for two devices", { nics: [{ ...spec.nics[0]!, id: "disk0" }] }, "INVALID_ARGUMENT"],
  ["a boot from no disk", { boot: { kind: "disk" }, disks: [] }, "INVALID_ARGUMENT"],
  [
    "a socket path that is too long",
    { nics: [{ ...spec.nics[0]!, attachment: { kind: "qemu-stream", path: `/${"p".repeat(107)}` } }] },
    "INVALID_ARGUMENT",
  ],
  [
    "a transport that is not done",
    { disks: [{ ...spec.disks[0]!, transport: { kind: "rbd", pool: "p", image: "i", monitors: [] } }] },
    "UNIMPLEMENTED",
  ],
  ...["", "..", "a/b", "a b", "tap%d", "t".repeat(16)].map(
    (interfaceName) =>
      [
        `a tap named '${interfaceName}'`,
        { nics: [{ ...spec.nics[0]!, attachment: { kind: "tap", interfaceName } as const }] },
        "INVALID_ARGUMENT",
      ] as const,
  ),
  ...[
    ["a/b", "i"],
    ["b".repeat(16), "i"],
    ["br0", ""],
    ["br0", "i\n"],
  ].map(
    ([bridge = "", interfaceId = ""]) =>
      [
        `the port '${interfaceId}' of a bridge '${bridge}'`,
        { nics: [{ ...spec.nics[0]!, attachment: { kind: "ovs", bridge, interfaceId } as const }] },
        "INVALID_ARGUMENT",
      ] as const,
  ),
  [
    "a port of an Open vSwitch bridge that is not known",
    { nics: [{ ...spec.nics[0]!, attachment: { kind: "ovs", bridge: "br0", interfaceId: "i" } }] },
    "UNIMPLEMENTED",
  ],
])("%s is refused", (_, change, code) => {
  let thrown: unknown;
  try {
    checkSpec({ ...spec, ...change }, { ovsProblem: "there is none" });
  } catch (error) {
    thrown = error;
  }
  expect(isVdcError(thrown) && thrown.code).toBe(code);
});
