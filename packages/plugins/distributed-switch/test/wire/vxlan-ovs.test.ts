import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DummyPort, startOpenVswitch } from "@vdc-os/ovsdb/testing";
import { expect, it } from "vitest";
import { DataPlane } from "../../src/dataplane/control.ts";
import { formatIpAddress } from "../../src/wire/packet/ip-address.ts";
import { udpFrame } from "../../src/wire/packet/packet-builder.ts";
import { PROTOCOL_UDP, readPacketHeaders } from "../../src/wire/packet/packet-headers.ts";
import { NodeStation } from "./node-station.ts";
import { hasOpenVswitch } from "./open-vswitch.ts";
import { dissect, hasTshark } from "./tshark.ts";

const VNI_BASE = 12288;
const VLAN = 9;
const VXLAN_PORT = 4789;
const OVS = { address: "192.0.2.2", mac: 0x5254_0000_0402, macAddress: "52:54:00:00:04:02" };
const US = { address: "192.0.2.1", mac: 0x5254_0000_0401, macAddress: "52:54:00:00:04:01" };

/** Hands each frame of a dummy device over until it is closed. */
async function forEachFrame(port: DummyPort, use: (frame: Buffer) => void): Promise<void> {
  while (!port.closed) {
    try {
      use(await port.receive({ timeoutMs: 3_600_000 }));
    } catch {
      // Closed while it waited.
    }
  }
}

it.runIf(hasOpenVswitch())("exchanges VXLAN with Open vSwitch's userspace datapath, without root", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "vdc-wire-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const ovs = stack.use(await startOpenVswitch());
  await ovs.vsctl(
    ...["add-br", "br-phys", "--", "set", "Bridge", "br-phys", "datapath_type=dummy"],
    ...[`other-config:hwaddr="${OVS.macAddress}"`],
    ...["--", "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy"],
  );
  await ovs.control("netdev-dummy/ip4addr", "br-phys", `${OVS.address}/24`);
  await ovs.control("ovs/route/add", `${OVS.address}/24`, "br-phys");
  await ovs.control("tnl/neigh/set", "br-phys", US.address, US.macAddress);
  await ovs.vsctl(
    ...["add-port", "br-int", "vx0", "--", "set", "Interface", "vx0", "type=vxlan"],
    ...[`options:remote_ip=${US.address}`, `options:key=${VNI_BASE + VLAN}`],
  );
  const wire = stack.use(await ovs.openPort({ bridge: "br-phys", name: "up0" }));
  const theirPort = stack.use(await ovs.openPort({ bridge: "br-int", name: "vif0" }));

  // The physical network between: what Open vSwitch sends are frames, what our data plane sends are datagrams.
  const network = createSocket("udp4");
  stack.defer(() => new Promise<void>((resolve) => network.close(() => resolve())));
  network.bind(0, "127.0.0.1");
  await once(network, "listening");
  const up = Promise.withResolvers<void>();
  const plane = new DataPlane({ redialMs: 5, onLink: ({ link }) => link === "up" && up.resolve() });
  stack.defer(() => plane.close());
  const emitted: Buffer[] = [];
  const received: Buffer[] = [];
  let vtepPort = 0;
  network.on("message", (datagram) => {
    const frame = udpFrame(datagram, {
      ...{ sourceMac: US.mac, destinationMac: OVS.mac, source: US.address, destination: OVS.address },
      ...{ sourcePort: VXLAN_PORT, destinationPort: VXLAN_PORT },
    });
    emitted.push(frame);
    wire.send(frame);
  });
  void forEachFrame(wire, (frame) => {
    const headers = readPacketHeaders(frame);
    if (headers?.ip?.protocol !== PROTOCOL_UDP || headers.ports?.destinationPort !== VXLAN_PORT) return;
    if (formatIpAddress(headers.ip.destination) !== US.address) return;
    received.push(frame);
    network.send(frame.subarray(headers.ip.payloadStart + 8, headers.ip.payloadEnd), vtepPort, "127.0.0.1");
  });

  const ours = new NodeStation({ mac: 0x5254_0000_0411, address: "10.9.0.1" });
  const theirs = new NodeStation({ mac: 0x5254_0000_0412, address: "10.9.0.2" });
  const socketPath = join(directory, "nic.sock");
  stack.use(await ours.listen(socketPath));
  theirs.send = (frame) => theirPort.send(frame);
  void forEachFrame(theirPort, (frame) => theirs.receive(frame));
  const vlan = { kind: "access", id: VLAN } as const;
  await plane.apply({
    generation: 1,
    vtep: { listen: { address: "127.0.0.1", port: 0 }, underlayMtu: 1500 },
    switches: [
      {
        key: "interop",
        vniBase: VNI_BASE,
        maxMtu: 1450,
        peers: [{ key: "ovs", address: "127.0.0.1", port: network.address().port }],
        ports: [{ key: "nic", socketPath, settings: { macAddress: ours.macAddress, vlan } }],
      },
    ],
  });
  vtepPort = (await plane.status()).vtep?.listen.port ?? 0;
  await up.promise;

  expect(await ours.ping(theirs.address, { count: 3, largest: 1422 })).toBe(theirs.mac);
  expect(await theirs.ping(ours.address, { count: 3, largest: 1422 })).toBe(ours.mac);
  expect([ours.answered, theirs.answered]).toEqual([3, 3]);
  if (!hasTshark()) return;
  // Both speak the same: what we emit and what Open vSwitch emits dissect alike.
  for (const frames of [emitted, received]) {
    const vnis = dissect(frames, ["vxlan.vni", "vxlan.flags"]).map((fields) => fields.join());
    expect(new Set(vnis)).toEqual(new Set([`${VNI_BASE + VLAN},0x0800`]));
  }
});
