import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DataPlane } from "../../src/dataplane/control.ts";
import type { DataPlanePortStatus } from "../../src/dataplane/data-plane-status.ts";
import { hasNamespaces, NetworkNamespace } from "./network-namespace.ts";
import { NodeStation } from "./node-station.ts";
import { TapStation } from "./tap-station.ts";
import { tcpExchange } from "./tcp-exchange.ts";

const VNI_BASE = 8192;
const VLAN = 7;
const PORT = 4789;
const MEGABYTE = 1024 * 1024;

interface Underlay {
  readonly family: string;
  readonly ours: string;
  readonly theirs: string;
  readonly length: number;
  /** What is left for a packet in the tunnel. */
  readonly mtu: number;
}

/** Networks for documentation and benchmarks, one per process so that two runs don't meet. */
const net = process.pid % 16384;
const underlays: Underlay[] = [
  {
    family: "IPv4",
    ours: `198.18.${net >> 6}.${(net & 63) * 4 + 1}`,
    theirs: `198.18.${net >> 6}.${(net & 63) * 4 + 2}`,
    length: 30,
    mtu: 1450,
  },
  {
    family: "IPv6",
    ours: `2001:db8:${net.toString(16)}::1`,
    theirs: `2001:db8:${net.toString(16)}::2`,
    length: 64,
    mtu: 1430,
  },
];

/** A namespace whose kernel has a VXLAN device to us, over a veth pair. */
class KernelPeer implements Disposable {
  readonly namespace = new NetworkNamespace();
  readonly #veth = `vdcw${process.pid}`;

  constructor({ ours, theirs, length, mtu }: Underlay) {
    try {
      const v6 = ours.includes(":");
      execFileSync("ip", [
        "link",
        "add",
        this.#veth,
        "type",
        "veth",
        "peer",
        "name",
        "under0",
        "netns",
        this.namespace.name,
      ]);
      const nodad = v6 ? ["nodad"] : [];
      execFileSync("ip", ["addr", "add", `${ours}/${length}`, "dev", this.#veth, ...nodad]);
      execFileSync("ip", ["link", "set", this.#veth, "up"]);
      this.namespace.ip(`addr add ${theirs}/${length} dev under0${v6 ? " nodad" : ""}`);
      this.namespace.ip("link set under0 up");
      this.namespace.ip(
        `link add vx0 type vxlan id ${VNI_BASE + VLAN} local ${theirs} remote ${ours} dstport ${PORT} dev under0`,
      );
      this.namespace.withoutOffloads("under0");
      this.namespace.withoutOffloads("vx0");
      this.namespace.ip(`link set vx0 mtu ${mtu} address 52:54:00:00:03:01`);
      this.namespace.ip("addr add 10.8.0.1/24 dev vx0");
      this.namespace.ip("link set vx0 up");
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.namespace[Symbol.dispose]();
    try {
      execFileSync("ip", ["link", "del", this.#veth], { stdio: "ignore" });
    } catch {
      // The pair goes with the namespace of its other end.
    }
  }
}

describe.runIf(hasNamespaces()).each(underlays)("VXLAN with the Linux kernel over $family", (underlay) => {
  it("pings to the largest packet, and carries TCP both ways", async () => {
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), "vdc-wire-"));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const kernel = stack.use(new KernelPeer(underlay));
    const node = new NodeStation({ mac: 0x5254_0000_0302, address: "10.8.0.2" });
    stack.use(await node.listen(join(directory, "node.sock")));
    const tap = { path: join(directory, "tap.sock"), macAddress: "52:54:00:00:03:03" };
    const station = stack.use(await TapStation.open({ ...tap, address: "10.8.0.3/24", mtu: underlay.mtu }));
    const vlan = { kind: "access", id: VLAN } as const;
    const up = Promise.withResolvers<void>();
    const links = new Set<string>();
    const plane = new DataPlane({
      redialMs: 5,
      onLink: ({ key, link }: DataPlanePortStatus) => {
        if (link === "up" && links.add(key).size === 2) up.resolve();
      },
    });
    stack.defer(() => plane.close());
    await plane.apply({
      generation: 1,
      vtep: { listen: { address: underlay.ours, port: PORT }, underlayMtu: 1500 },
      switches: [
        {
          key: "interop",
          vniBase: VNI_BASE,
          maxMtu: underlay.mtu,
          peers: [{ key: "kernel", address: underlay.theirs, port: PORT, anySourcePort: true }],
          ports: [
            { key: "node", socketPath: join(directory, "node.sock"), settings: { macAddress: node.macAddress, vlan } },
            { key: "tap", socketPath: tap.path, settings: { macAddress: tap.macAddress, vlan } },
          ],
        },
      ],
    });
    await up.promise;

    // From Node to the kernel and back, to the largest packet that the tunnel carries.
    expect(await node.ping("10.8.0.1", { count: 4, largest: underlay.mtu - 28 })).toBe(0x5254_0000_0301);
    const { namespace } = kernel;
    const intact = { sent: "intact", received: "intact" };
    const there = { server: namespace, client: station.namespace, address: "10.8.0.1", bytes: 4 * MEGABYTE };
    expect(await tcpExchange(there)).toMatchObject(intact);
    const back = { server: station.namespace, client: namespace, address: "10.8.0.3", bytes: 4 * MEGABYTE };
    expect(await tcpExchange(back)).toMatchObject(intact);

    const status = await plane.status();
    expect(status.switches[0]?.peers[0]).toMatchObject({ peer: "kernel" });
  });
});
