import { expect, it } from "vitest";
import { ManualClock } from "../test/manual-clock.ts";
import { DiscoveryAgent } from "./discovery-agent.ts";

it("hosts find each other on their uplinks", () => {
  const clock = new ManualClock();
  const agent = (host: string, other: () => DiscoveryAgent): DiscoveryAgent =>
    new DiscoveryAgent({
      ...{ operation: "both", host, switchName: "prod", mtu: 1500, clock },
      managementAddresses: [{ address: "192.0.2.1", interfaceIndex: 0 }],
      transmit: (uplink, frame) => other().receive(uplink, frame),
    });
  const a: DiscoveryAgent = agent("host-a", () => b);
  const b: DiscoveryAgent = agent("host-b", () => a);
  a.configure([{ name: "up0", macAddress: 0x5254_0000_0001, interfaceName: "eth1" }]);
  b.configure([{ name: "up0", macAddress: 0x5254_0000_0002 }]);
  a.start();
  b.start();
  clock.advance(1000);
  expect(b.neighbours()).toEqual([
    {
      ...{ uplink: "up0", chassisId: "host-a", portId: "eth1", systemName: "host-a" },
      ...{ systemDescription: "VDC-OS distributed switch", managementAddress: "192.0.2.1", expiresInMs: 121_000 },
    },
  ]);
  expect(a.neighbours()).toMatchObject([{ chassisId: "host-b", portId: "52:54:00:00:00:02" }]);
  expect(a.status()).toMatchObject({ running: true, malformed: 0, neighbours: [{ uplink: "up0" }] });
  b.stop();
  expect(a.neighbours()).toEqual([]);
  a.stop();
  expect(a.status().running).toBe(false);
});
