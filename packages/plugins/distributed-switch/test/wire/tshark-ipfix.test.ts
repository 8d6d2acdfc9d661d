import { expect, it } from "vitest";
import { FlowExporter } from "../../src/wire/ipfix/flow-exporter.ts";
import { udpFrame } from "../../src/wire/packet/packet-builder.ts";
import { arp, flow, flow6 } from "./flows.ts";
import { dissect, hasTshark } from "./tshark.ts";

it.runIf(hasTshark()).each(["systematic", "random"] as const)("tshark reads what is exported, %s", (algorithm) => {
  const frames: Buffer[] = [];
  let now = 1_700_000_002_000;
  const exporter = new FlowExporter({
    observationDomainId: 7,
    sampling: { rate: 100, algorithm },
    now: () => now,
    send: (message) => {
      const ports = { sourcePort: 50000, destinationPort: 4739 };
      const macs = { sourceMac: 0x5254_0000_0009, destinationMac: 0x5254_0000_000a };
      return frames.push(udpFrame(message, { ...ports, ...macs, source: "127.0.0.1", destination: "127.0.0.1" })) > 0;
    },
  });
  exporter.export([flow]);
  exporter.export([flow6, arp, ...Array.from({ length: 40 }, () => flow)]);
  now += 60_000;
  exporter.export([flow6]);

  const fields = [
    "cflow.version",
    "cflow.sequence",
    "cflow.srcaddr",
    "cflow.srcaddrv6",
    "cflow.if_name",
    "cflow.template_id",
  ];
  const read = dissect(frames, fields);
  expect(read.every(([version]) => version === "10")).toBe(true);
  expect(read[0]?.slice(1)).toEqual([
    "0",
    "192.0.2.1",
    "",
    "web-nic0",
    `256,257,258,259,${algorithm === "random" ? 261 : 260}`,
  ]);
  // One record of the sampling, one of the port's name, one flow.
  expect(read[1]?.slice(1, 5)).toEqual([
    "3",
    Array(read[1]?.[2]?.split(",").length).fill("192.0.2.1").join(),
    "2001:db8::1",
    "db-nic0",
  ]);
  expect(read.at(-1)?.slice(3, 5)).toEqual(["2001:db8::1", "web-nic0,db-nic0"]);

  const details = [
    ...["cflow.srcmac", "cflow.vlanid", "cflow.direction", "cflow.flow_end_reason", "cflow.packets"],
    ...["cflow.octets", "cflow.layer2_octet_delta_count", "cflow.abstimestart", "cflow.dstport", "cflow.protocol"],
    ...["cflow.selector_algorithm", "cflow.sampling_packet_space", "cflow.sampling_population"],
  ];
  const random = algorithm === "random";
  expect(dissect(frames.slice(0, 1), details)).toEqual([
    [
      ...["52:54:00:00:00:01", "10", "0", "1", "3", "258", "300", "Nov 14, 2023 22:13:20.123000000 UTC", "2000", "6"],
      ...(random ? ["3", "", "100"] : ["1", "99", ""]),
    ],
  ]);
});
