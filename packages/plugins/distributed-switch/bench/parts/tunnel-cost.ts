import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { vxlanHeader } from "../../src/dataplane/vxlan-header.ts";
import { median } from "@vdc-os/testing";
import { DataPlaneClient } from "../load/data-plane-client.ts";
import { frameRecord, macText } from "../load/frames.ts";
import { StreamNics } from "../load/stream-nics.ts";
import { UdpPeer } from "../load/udp-peer.ts";
import type { FrameCostOptions } from "./frame-cost.ts";

const burst = 32;
const frameOctets = 1464;
const vniBase = 4096;

/**
 * Processor time for a packet over the tunnel, against a process that only forwards UDP packets. A packet of the forwarder is received
 * once and sent once; beside it stands one frame of ours out through the tunnel and one in, which are one send and one receive too, and
 * a read and a write at the port.
 */
export async function overBareForwarder({ rounds, quick, report }: FrameCostOptions): Promise<void> {
  const bursts = quick ? 500 : 2000;
  using peer = await UdpPeer.bind();
  await using nics = await StreamNics.listen(1);
  await using plane = DataPlaneClient.start();
  await plane.applyAndConnect({
    generation: 1,
    vtep: { listen: { address: "127.0.0.1", port: 0 }, underlayMtu: 1500 },
    switches: [
      {
        key: "bench",
        vniBase,
        maxMtu: 1450,
        peers: [{ key: "peer", address: "127.0.0.1", port: peer.port }],
        ports: [{ key: "nic", socketPath: nics.path(0), settings: { macAddress: macText(1), vlan: { kind: "none" } } }],
      },
    ],
  });
  const vtep = (await plane.status()).vtep?.listen.port as number;
  const nic = await nics.socket(0);
  const outgoing = frameRecord(macText(2), macText(1), frameOctets);
  const outgoingBurst = Buffer.concat(Array.from({ length: burst }, () => outgoing));
  const incoming = frameRecord(macText(1), macText(2), frameOctets);
  const incomingDatagram = Buffer.concat([vxlanHeader(vniBase), incoming.subarray(4)]);

  const ours = async (count: number): Promise<number> => {
    const before = await plane.cpuMicroseconds();
    for (let sent = 0; sent < count; sent++) {
      const arrived = Promise.all([nics.receive(burst * incoming.length), peer.receive(burst)]);
      peer.send(incomingDatagram, vtep, burst);
      nic.write(outgoingBurst);
      await arrived;
    }
    return ((await plane.cpuMicroseconds()) - before) / (count * burst);
  };

  const forwarder = fork(fileURLToPath(new URL("../load/udp-forwarder.ts", import.meta.url)), [String(peer.port)]);
  try {
    const [port] = (await once(forwarder, "message")) as [number];
    const bare = async (count: number): Promise<number> => {
      const before = await cpuOf(forwarder);
      for (let sent = 0; sent < count; sent++) {
        const arrived = peer.receive(burst);
        peer.send(incomingDatagram, port, burst);
        await arrived;
      }
      return ((await cpuOf(forwarder)) - before) / (count * burst);
    };
    await ours(500);
    await bare(500);
    const costs: { readonly ours: number; readonly bare: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      if (round % 2 === 0) costs.push({ ours: await ours(bursts), bare: await bare(bursts) });
      else {
        const first = await bare(bursts);
        costs.push({ bare: first, ours: await ours(bursts) });
      }
    }
    report({
      name: "CPU a VXLAN packet over a bare UDP forwarder's",
      bound: { atMost: 1.3 },
      ratios: costs.map((cost) => cost.ours / cost.bare),
      detail: `${median(costs.map((cost) => cost.ours)).toFixed(1)} against ${median(costs.map((cost) => cost.bare)).toFixed(1)} us for a packet in and one out`,
    });
  } finally {
    const exited = once(forwarder, "exit");
    forwarder.disconnect();
    await exited;
  }
}

async function cpuOf(forwarder: ChildProcess): Promise<number> {
  const answered = once(forwarder, "message") as Promise<[number]>;
  forwarder.send("usage");
  return (await answered)[0];
}
