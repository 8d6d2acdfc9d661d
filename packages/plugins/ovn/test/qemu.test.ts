import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext } from "@vdc-os/core";
import type { PortSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import { missingPrograms } from "@vdc-os/ovsdb/testing";
import type { SuiteNic } from "@vdc-os/ready/network";
import { describe, expect, it } from "vitest";
import { TestFabric } from "./ovn-instance.ts";

const qemu = "qemu-system-x86_64";

/** Says loudly what is missing, and fails where it must be there. */
function isReady(): boolean {
  const { status } = spawnSync(qemu, ["-version"]);
  const missing = [...missingPrograms("ovn"), ...(status === 0 ? [] : [qemu])];
  if (missing.length === 0) return true;
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: that real VMs get leases from OVN`);
  return false;
}

/** A VM that boots from the network, and so asks for an address; its NIC is joined to a port of OVN. */
class NetworkBoot implements AsyncDisposable {
  /** What the VM's NIC got from OVN: its DHCP messages' types. */
  readonly answers: number[] = [];
  /** The address that OVN acknowledged. */
  address: string | undefined;
  readonly #vm: ChildProcess;
  readonly #stop: () => Promise<void>;

  private constructor(vm: ChildProcess, stop: () => Promise<void>) {
    this.#vm = vm;
    this.#stop = stop;
  }

  /** QEMU's stream has frames behind 32 bits of length. */
  static async start(path: string, mac: string, nic: SuiteNic): Promise<NetworkBoot> {
    let boot: NetworkBoot | undefined;
    const server = createServer((socket) => {
      let left: Buffer = Buffer.alloc(0);
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Buffer) => {
        left = Buffer.concat([left, chunk]);
        while (left.length >= 4 && left.length >= 4 + left.readUInt32BE(0)) {
          const end = 4 + left.readUInt32BE(0);
          nic.send(Buffer.from(left.subarray(4, end)));
          left = left.subarray(end);
        }
      });
      nic.onFrame = (frame) => {
        boot?.hear(Buffer.from(frame));
        const length = Buffer.alloc(4);
        length.writeUInt32BE(frame.length);
        socket.write(Buffer.concat([length, frame]));
      };
    });
    server.listen(path);
    await once(server, "listening");
    const vm = spawn(
      qemu,
      [
        ...["-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg", "-m", "64", "-boot", "n"],
        ...["-netdev", `stream,id=n0,server=off,addr.type=unix,addr.path=${path}`],
        ...["-device", `virtio-net-pci,netdev=n0,mac=${mac}`],
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    boot = new NetworkBoot(vm, async () => {
      server.close();
      await nic.close();
    });
    return boot;
  }

  /** Looks for a DHCP message (RFC 2131) to the VM. */
  hear(frame: Buffer): void {
    if (frame.length < 14 + 20 + 8 + 240 || frame.readUInt16BE(12) !== 0x0800 || frame.readUInt8(23) !== 17) return;
    const udp = frame.subarray(14 + (frame.readUInt8(14) & 15) * 4);
    if (udp.readUInt16BE(2) !== 68) return;
    const message = udp.subarray(8);
    const at = message.indexOf(Buffer.from([53, 1]), 240);
    const type = message.readUInt8(at + 2);
    this.answers.push(type);
    if (type === 5) this.address = [...message.subarray(16, 20)].join(".");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#vm.exitCode === null && this.#vm.signalCode === null) {
      const exit = once(this.#vm, "exit");
      this.#vm.kill("SIGKILL");
      await exit;
    }
    await this.#stop();
  }
}

describe.runIf(isReady())("OVN with real VMs", () => {
  it("gives each of two VMs on two chassis the lease that it is asked for", async () => {
    await using stack = new AsyncDisposableStack();
    const fabric = stack.use(await TestFabric.start());
    const instance = await fabric.instance();
    stack.defer(() => instance.dispose?.());
    const folder = await mkdtemp(join(tmpdir(), "vdc-ovn-"));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const setting: PortSetting = {
      vlan: { kind: "access", id: 10 },
      blocked: false,
      security: { promiscuous: false, forgedTransmits: false, macChanges: false },
      dhcp: {
        subnet: "192.0.2.0/24",
        serverAddress: "192.0.2.1",
        serverMac: "52:54:00:00:00:01",
        router: "192.0.2.1",
        dnsServers: ["192.0.2.2", "192.0.2.3"],
        leaseSeconds: 3_600,
      },
    };
    const spec: SwitchSpec = {
      switchId: "lan",
      name: "lan",
      mtu: 1_400,
      transport: "overlay",
      members: instance.hosts.map((host) => ({ host, uplinks: [] })),
      portGroups: [{ key: "vms", name: "vms", binding: "static", setting }],
    };
    const ovn = instance.implementation;
    const operation = () => createOperationContext({ timeoutMs: 120_000 });
    await ovn.applySwitch({ spec, generation: 1 }, operation());
    const boots: NetworkBoot[] = [];
    for (const [index, host] of instance.hosts.entries()) {
      const mac = `52:54:00:00:10:0${index}`;
      const binding = await ovn.connectPort(
        {
          switchId: "lan",
          portGroup: "vms",
          portKey: `vm-${index}`,
          host,
          mac,
          generation: 1,
          addresses: [`192.0.2.${10 + index}`],
        },
        operation(),
      );
      const nic = await instance.openNic?.(binding, mac);
      if (nic === undefined) throw new Error("there is no NIC");
      boots.push(stack.use(await NetworkBoot.start(join(folder, `vm-${index}.sock`), mac, nic)));
    }
    await expect
      .poll(() => boots.map(({ address }) => address), { timeout: 120_000 })
      .toEqual(["192.0.2.10", "192.0.2.11"]);
    // An offer, then the acknowledgement.
    for (const { answers } of boots) expect([...new Set(answers)]).toEqual([2, 5]);
  });
});
