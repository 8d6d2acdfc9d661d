import { createHash } from "node:crypto";
import { VdcError } from "@vdc-os/core";
import type { VmDisk, VmNic, VmSpec } from "@vdc-os/core/compute/v1";
import { checkUnixSocketPath } from "@vdc-os/core/remote";

/** What a command line is made from. */
export interface CommandLineInput {
  readonly name: string;
  readonly uuid: string;
  readonly spec: VmSpec;
  readonly accelerator: "kvm" | "tcg";
  readonly monitorSocket: string;
  readonly consoleSocket: string;
  readonly consoleLog: string;
  readonly pidFile: string;
  /** The taps of NICs that are ports of Open vSwitch bridges, by the NICs' ids. */
  readonly taps: ReadonlyMap<string, NicTap>;
}

/** A tap that QEMU makes, and that goes with it. */
export interface NicTap {
  readonly name: string;
  /** Whether what is at its other end finishes what the guest leaves to its NIC: checksums, and packets that are too large. */
  readonly offloads: boolean;
  /** What the guest is told that its NIC carries, in bytes (virtio 1.2, section 5.1.4). */
  readonly mtu: number;
}

/** What a host can give to NICs. */
export interface NicPlaces {
  /** Why a NIC can't be a port of an Open vSwitch bridge; `undefined` when it can. */
  readonly ovsProblem: string | undefined;
}

/** Guests see a disk's id as its serial number, and virtio-blk has 20 bytes for that (virtio 1.2, section 5.2.6.1). */
const maxSerialBytes = 20;

/**
 * The arguments that make QEMU a VM of this spec. It starts with its CPUs stopped, keeps to its sandbox, and stays, stopped, after the
 * guest has switched itself off: so a QEMU that is gone was killed or failed, also when nobody looked.
 */
export function commandLine(input: CommandLineInput): readonly string[] {
  const { spec } = input;
  const maxCpus = Math.max(spec.cpus, spec.maxCpus ?? spec.cpus);
  return [
    ...["-name", `guest=${escapeComma(input.name)},debug-threads=on`, "-uuid", input.uuid],
    ...["-no-user-config", "-nodefaults", "-display", "none", "-msg", "timestamp=on"],
    ...["-pidfile", input.pidFile, "-S", "-action", "shutdown=pause"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-machine", "q35", "-accel", input.accelerator, "-cpu", input.accelerator === "kvm" ? "host" : "max"],
    ...["-smp", `cpus=${spec.cpus},maxcpus=${maxCpus},sockets=${maxCpus},cores=1,threads=1`],
    ...["-m", memoryArgument(spec)],
    ...["-chardev", `socket,id=monitor,path=${escapeComma(input.monitorSocket)},server=on,wait=off`],
    ...["-mon", "chardev=monitor,mode=control"],
    ...["-chardev", consoleArgument(input), "-serial", "chardev:console"],
    ...["-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng"],
    ...bootArguments(spec),
    ...spec.disks.flatMap((disk, index) => diskArguments(disk, spec.boot.kind === "disk" ? index + 1 : undefined)),
    ...spec.nics.flatMap((nic) => nicArguments(nic, input.taps.get(nic.id))),
  ];
}

/** Refuses a spec that QEMU could not run as it is meant: `INVALID_ARGUMENT` for a wrong one, `UNIMPLEMENTED` for what this plugin does not do. */
export function checkSpec(spec: VmSpec, places: NicPlaces): void {
  const ids = [...spec.disks.map(({ id }) => id), ...spec.nics.map(({ id }) => id)];
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new VdcError("INVALID_ARGUMENT", `the device id '${twice}' is there twice`);
  if (spec.memoryBytes < 1 << 20) throw new VdcError("INVALID_ARGUMENT", "a VM needs at least 1 MiB of memory");
  for (const [what, low, high] of [
    ["maxCpus", spec.cpus, spec.maxCpus],
    ["maxMemoryBytes", spec.memoryBytes, spec.maxMemoryBytes],
  ] as const) {
    if (high !== undefined && high < low) {
      throw new VdcError("INVALID_ARGUMENT", `${what} is ${high}, less than the ${low} that the VM begins with`);
    }
  }
  const { boot } = spec;
  if (boot.kind === "kernel" && [boot.kernel, boot.initrd, boot.commandLine].some((text) => text?.includes("\0"))) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      "a NUL ends a program's argument: there can be none in paths and arguments of a kernel",
    );
  }
  if (spec.boot.kind === "disk" && spec.disks.length === 0) {
    throw new VdcError("INVALID_ARGUMENT", "a VM that boots from its disk needs one");
  }
  for (const disk of spec.disks) {
    if (Buffer.byteLength(disk.id) > maxSerialBytes) {
      throw new VdcError("INVALID_ARGUMENT", `the disk id '${disk.id}' has more than ${maxSerialBytes} bytes`);
    }
    blockNode(disk);
  }
  for (const nic of spec.nics) checkNic(nic, places);
}

/** QEMU's id of a device or block node: at most 31 characters of a small set, whatever the spec's id is. */
export function deviceId(kind: "disk" | "nic", id: string): string {
  const plain = /^[A-Za-z0-9._-]{1,24}$/.test(id);
  return `${kind}-${plain ? id : createHash("sha256").update(id).digest("hex").slice(0, 24)}`;
}

/** A disk as a block node, as `-blockdev` and `blockdev-add` take it. */
export function blockNode(disk: VmDisk): Readonly<Record<string, unknown>> & { readonly driver: string } {
  const { transport, readOnly } = disk;
  const common = { "node-name": deviceId("disk", disk.id), "read-only": readOnly, discard: "unmap" } as const;
  switch (transport.kind) {
    case "nbd-unix":
      return {
        driver: "nbd",
        ...common,
        server: { type: "unix", path: checkUnixSocketPath(transport.path) },
        export: transport.exportName,
        // Requests wait while the storage process restarts; only after that does the guest see an error.
        "reconnect-delay": 30,
      };
    case "nbd-tcp":
      if (transport.tls) throw unimplemented(disk.id, "NBD with TLS");
      return {
        driver: "nbd",
        ...common,
        server: { type: "inet", host: transport.address, port: String(transport.port) },
        export: transport.exportName,
        "reconnect-delay": 30,
      };
    case "file":
      return {
        driver: transport.format,
        ...common,
        file: { driver: "file", filename: transport.path, "read-only": readOnly, discard: "unmap" },
      };
    case "block":
      return {
        driver: "raw",
        ...common,
        file: { driver: "host_device", filename: transport.path, "read-only": readOnly, discard: "unmap" },
      };
    case "iscsi":
    case "rbd":
      throw unimplemented(disk.id, `the transport '${transport.kind}'`);
  }
}

function memoryArgument(spec: VmSpec): string {
  const max = spec.maxMemoryBytes ?? spec.memoryBytes;
  return max > spec.memoryBytes ? `size=${spec.memoryBytes}b,slots=16,maxmem=${max}b` : `size=${spec.memoryBytes}b`;
}

function consoleArgument(input: CommandLineInput): string {
  const socket = `path=${escapeComma(input.consoleSocket)},server=on,wait=off`;
  return `socket,id=console,${socket},logfile=${escapeComma(input.consoleLog)},logappend=on`;
}

function bootArguments(spec: VmSpec): readonly string[] {
  const { boot } = spec;
  if (boot.kind === "disk") return [];
  const initrd = boot.initrd === undefined ? [] : ["-initrd", boot.initrd];
  return ["-kernel", boot.kernel, ...initrd, "-append", boot.commandLine];
}

function diskArguments(disk: VmDisk, bootIndex: number | undefined): readonly string[] {
  const id = deviceId("disk", disk.id);
  const device = {
    driver: "virtio-blk-pci",
    id,
    drive: id,
    serial: disk.id,
    ...(bootIndex === undefined ? {} : { bootindex: bootIndex }),
  };
  return ["-blockdev", JSON.stringify(blockNode(disk)), "-device", JSON.stringify(device)];
}

function checkNic({ id, attachment }: VmNic, { ovsProblem }: NicPlaces): void {
  if (attachment.kind === "qemu-stream") checkUnixSocketPath(attachment.path);
  else if (attachment.kind === "tap") checkInterfaceName(id, attachment.interfaceName);
  else {
    const { bridge, interfaceId } = attachment;
    checkInterfaceName(id, bridge);
    if (!/^\P{Cc}+$/u.test(interfaceId)) {
      throw new VdcError("INVALID_ARGUMENT", `device '${id}': '${interfaceId}' can't be the id of a port`);
    }
    if (ovsProblem === undefined) return;
    const text = `device '${id}' can't be a port of bridge '${bridge}': ${ovsProblem}`;
    throw new VdcError("UNIMPLEMENTED", text, { reason: "VDC_OPEN_VSWITCH" });
  }
}

function nicArguments(nic: VmNic, tap: NicTap | undefined): readonly string[] {
  const id = deviceId("nic", nic.id);
  // No boot ROM: it would only cost time, since nothing boots from the network.
  const mtu = tap === undefined ? {} : { host_mtu: tap.mtu };
  const device = { driver: "virtio-net-pci", id, netdev: id, mac: nic.mac, romfile: "", ...mtu };
  return ["-netdev", `${netdev(nic, tap)},id=${id}`, "-device", JSON.stringify(device)];
}

/** A NIC's other end, as `-netdev` takes it, but for its id. */
function netdev({ id, attachment }: VmNic, tap: NicTap | undefined): string {
  switch (attachment.kind) {
    case "qemu-stream":
      return `stream,server=on,addr.type=unix,addr.path=${escapeComma(checkUnixSocketPath(attachment.path))}`;
    case "tap":
      // The switch has made it and removes it.
      return tapNetdev(checkInterfaceName(id, attachment.interfaceName));
    case "ovs":
      if (tap === undefined) throw new VdcError("INTERNAL", `device '${id}' has no tap`);
      return `${tapNetdev(tap.name)}${tap.offloads ? "" : ",vnet_hdr=off"}`;
  }
}

/** QEMU opens the interface, or makes it, and runs no script. */
function tapNetdev(name: string): string {
  return `tap,ifname=${escapeComma(name)},script=no,downscript=no`;
}

/** Linux has room for 15 bytes (IFNAMSIZ), takes no slash and no white space, and makes a new name of one with `%`. */
function checkInterfaceName(id: string, name: string): string {
  if (/^[^\s/%:\p{Cc}]+$/u.test(name) && !/^\.\.?$/.test(name) && Buffer.byteLength(name) <= 15) return name;
  throw new VdcError("INVALID_ARGUMENT", `device '${id}': '${name}' can't be the name of a network interface`);
}

/** QEMU's options end at a comma, unless there are two. */
function escapeComma(text: string): string {
  return text.replaceAll(",", ",,");
}

function unimplemented(id: string, what: string): VdcError {
  return new VdcError("UNIMPLEMENTED", `device '${id}': ${what} is not supported by this plugin`);
}
