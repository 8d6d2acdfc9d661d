import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { expect, it } from "vitest";
import type { DataPlanePortStatistics } from "../src/dataplane/data-plane-status.ts";
import { vxlanHeader } from "../src/dataplane/vxlan-header.ts";
import { Fabric, VNI_BASE } from "./fabric.ts";
import { testFrame } from "./fake-nic.ts";

it("takes datagrams of configured peers only, and counts everything else by its reason", async () => {
  await using fabric = await Fabric.create();
  const host = await fabric.host();
  const nic = await fabric.nic();
  const [peer, stranger] = [await udp(), await udp()];
  try {
    host.peers = [{ key: "peer", address: "127.0.0.1", port: peer.address().port }];
    host.port("nic", nic, { vlan: { kind: "access", id: 10 } });
    await host.applyAndConnect();
    const frame = (text: string): Buffer => testFrame({ to: nic.mac, from: "52:54:00:00:09:09", text });
    const tagged = testFrame({ to: nic.mac, from: "52:54:00:00:09:09", text: "tagged", tag: 10 });
    const send = (socket: Socket, ...parts: Buffer[]): void =>
      socket.send(Buffer.concat(parts), host.listenOn.port, host.listenOn.address);
    send(stranger, vxlanHeader(VNI_BASE + 10), frame("from a stranger"));
    // The stranger's socket and the peer's share no order: wait until the first is counted.
    await counted(host.plane, (drops) => drops.unknownPeer === 1);
    send(peer, vxlanHeader(VNI_BASE * 2 + 10), frame("another switch's VNI"));
    send(peer, vxlanHeader(VNI_BASE + 11), frame("another VLAN"));
    send(peer, vxlanHeader(VNI_BASE + 4095), frame("no VLAN"));
    send(peer, vxlanHeader(VNI_BASE + 10), tagged);
    send(peer, Buffer.alloc(8), frame("no I flag"));
    send(peer, vxlanHeader(VNI_BASE + 10), Buffer.alloc(5));
    send(peer, vxlanHeader(VNI_BASE + 10), frame("good"));
    await nic.heard("good");
    expect(nic.texts).toEqual(["good"]);
    const { vtep, switches } = await host.plane.status();
    expect(vtep?.drops).toEqual({ malformed: 2, unknownVni: 1, unknownPeer: 1 });
    expect(switches[0]?.peers[0]?.in).toMatchObject({
      frames: 4,
      drops: { noDestination: 1, vlanNotAllowed: 1, unsupportedTag: 1 },
    });
    const reply = once(peer, "message");
    nic.say("reply", { mac: "52:54:00:00:09:09" });
    const [datagram] = (await reply) as [Buffer];
    expect(datagram.subarray(0, 8)).toEqual(vxlanHeader(VNI_BASE + 10));
  } finally {
    peer.close();
    stranger.close();
  }
});

async function udp(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

async function counted(
  plane: { status(): Promise<{ readonly vtep?: { readonly drops: { readonly unknownPeer: number } } | undefined }> },
  condition: (drops: { readonly unknownPeer: number }) => boolean,
): Promise<void> {
  for (;;) {
    const { vtep } = await plane.status();
    if (vtep !== undefined && condition(vtep.drops)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

it("keeps to the limits that it is given, also when they change", async () => {
  await using fabric = await Fabric.create();
  const host = await fabric.host();
  const nic = await fabric.nic();
  const learning = { macLearning: { enabled: true, limit: 4096, whenFull: "flood", floodUnknown: true } } as const;
  const security = { promiscuous: false, forgedTransmits: true, macChanges: false };
  host.port("nic", nic, { ...learning, security });
  host.limits = { learnedAddresses: 16, heldFrames: 2 };
  await host.applyAndConnect();
  const say = (count: number): void => {
    for (let index = 0; index < count; index += 1) {
      nic.send(testFrame({ to: "ff:ff:ff:ff:ff:ff", from: `52:54:00:aa:00:${(index + 16).toString(16)}`, text: "x" }));
    }
  };
  const statistics = async (): Promise<DataPlanePortStatistics> =>
    (await host.plane.portStatistics()).find(({ key }) => key === "nic") as DataPlanePortStatistics;
  const received = async (frames: number): Promise<DataPlanePortStatistics> => {
    for (;;) {
      const now = await statistics();
      if (now.in.frames >= frames) return now;
      await new Promise(setImmediate);
    }
  };
  say(20);
  expect((await received(20)).learningRefused).toBe(4);
  host.limits = { learnedAddresses: 32, heldFrames: 2 };
  await host.apply();
  say(20);
  expect((await received(40)).learningRefused).toBe(4);
  expect((await host.plane.status()).switches[0]?.learnedAddresses).toBe(20);
  await host.plane.setGate("nic", "hold");
  say(3);
  expect((await received(43)).in.drops).toMatchObject({ holdFull: 1 });
  host.limits = { learnedAddresses: 1 };
  await expect(host.apply()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});
