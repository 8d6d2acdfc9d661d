import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { DataPlane } from "../../src/dataplane/control.ts";
import { readVxlanVni } from "../../src/dataplane/vxlan-header.ts";
import { IpfixReader } from "../../src/wire/ipfix/ipfix-reader.ts";
import { readErspan } from "../../src/wire/mirror/erspan-packet.ts";
import { formatIpAddress } from "../../src/wire/packet/ip-address.ts";
import { UdpSender } from "../../src/wire/services/datagram-sender.ts";
import { FlowExportService } from "../../src/wire/services/flow-export-service.ts";
import { RemoteMirrorService } from "../../src/wire/services/remote-mirror-service.ts";
import { systemClock } from "../../src/wire/wire-clock.ts";
import { NodeStation } from "./node-station.ts";

async function receiver(stack: AsyncDisposableStack): Promise<{ readonly port: number; readonly messages: Buffer[] }> {
  const socket: Socket = createSocket("udp4");
  stack.defer(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  const messages: Buffer[] = [];
  socket.on("message", (message) => messages.push(message));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { port: socket.address().port, messages };
}

/** Waits for what comes over sockets of this machine, a turn of the event loop at a time. */
async function until<T>(find: () => T | undefined): Promise<T> {
  for (;;) {
    const found = find();
    if (found !== undefined) return found;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

it("the data plane's mirrors and flows leave for other machines", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "vdc-wire-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const analyser = await receiver(stack);
  const collector = await receiver(stack);
  const sender = new UdpSender();
  stack.defer(() => sender.close());
  const gre: Buffer[] = [];
  const mirrors = new RemoteMirrorService({
    sender,
    gre: () => ({ send: (packet) => gre.push(packet) > 0, close: () => undefined }),
  });
  mirrors.start();
  const flows = new FlowExportService({
    setting: { collector: "127.0.0.1", port: collector.port, observationDomainId: 9, samplingRate: 1 },
    ...{ sender, clock: systemClock, unixNow: () => Date.now(), intervalMs: 20 },
  });
  flows.start();
  stack.defer(() => flows.stop());

  const links = new Set<string>();
  const up = Promise.withResolvers<void>();
  const plane = new DataPlane({
    redialMs: 5,
    mirrorSink: mirrors,
    onFlows: (_switchKey, records) => flows.take(records),
    onLink: ({ key, link }) => link === "up" && links.add(key).size === 2 && up.resolve(),
  });
  stack.defer(() => plane.close());
  const a = new NodeStation({ mac: 0x5254_0000_0801, address: "10.5.0.1" });
  const b = new NodeStation({ mac: 0x5254_0000_0802, address: "10.5.0.2" });
  const ports = await Promise.all(
    [a, b].map(async (station, index) => {
      const socketPath = join(directory, `nic${index}.sock`);
      stack.use(await station.listen(socketPath));
      const vlan = { kind: "access", id: 12 } as const;
      return { key: `nic${index}`, socketPath, settings: { macAddress: station.macAddress, vlan } };
    }),
  );
  await plane.apply({
    generation: 1,
    switches: [
      {
        ...{ key: "prod", vniBase: 4096, peers: [], ports },
        flows: { activeTimeoutMs: 60_000, idleTimeoutMs: 60_000, samplingRate: 1 },
        mirrors: [
          {
            ...({ name: "to-analyser", sourcePorts: ["nic0"], direction: "both" } as const),
            destination: { kind: "vxlan", address: "127.0.0.1", port: analyser.port, vni: 77 },
          },
          {
            ...({ name: "old", sourcePorts: ["nic1"], direction: "in", snapLength: 40 } as const),
            destination: { kind: "erspan", address: "192.0.2.9", session: 3 },
          },
        ],
      },
    ],
  });
  await up.promise;
  await a.ping(b.address, { count: 2 });

  // A request and its answer: two of ARP, and two for each ping.
  await until(() => (analyser.messages.length >= 6 ? true : undefined));
  expect(new Set(analyser.messages.map(readVxlanVni))).toEqual(new Set([77]));
  expect(gre.map(readErspan)).toMatchObject([
    { session: 3, sequence: 1, vlan: 12, truncated: true },
    { session: 3, sequence: 2, truncated: true },
    { session: 3, sequence: 3, truncated: true },
  ]);
  expect(mirrors.status()).toMatchObject([
    { session: "to-analyser", copied: 6, dropped: 0 },
    { session: "old", copied: 3, dropped: 0 },
  ]);

  // Its flows are told when the data plane closes.
  await plane.close();
  const reader = new IpfixReader();
  const read = await until(() => {
    const records = collector.messages.splice(0).flatMap((message) => reader.read(message).records);
    return records.find(({ values }) => values.sourceIPv4Address !== undefined)?.values;
  });
  expect(["10.5.0.1", "10.5.0.2"]).toContain(formatIpAddress(read.sourceIPv4Address ?? Buffer.alloc(4)));
  expect(read.packetDeltaCount?.readBigUInt64BE()).toBe(2n);
  expect(Math.abs(Number(read.flowEndMilliseconds?.readBigUInt64BE()) - Date.now())).toBeLessThan(60_000);
  expect(flows.status()).toMatchObject({ refusedFlows: 0, failedDatagrams: 0 });
});
