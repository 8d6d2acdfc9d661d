import { createSocket } from "node:dgram";
import { once } from "node:events";
import { must } from "../suite/must.ts";
import { multicastFrame } from "./multicast-frame.ts";
import { type NetworkRequirement, specOf } from "./network-instance.ts";
import { applied, Stations } from "./stations.ts";

/** What exporting flows must do. */
export const flowRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.flow.exported",
    title: "the collector is told the flows of the ports, in IPFIX",
    clause: 'FlowExport: "Where flow records go (IPFIX, RFC 7011)."',
    level: "extended",
    facet: "flowExport",
    async run(test) {
      const collector = createSocket("udp4");
      collector.bind(0, "127.0.0.1");
      await once(collector, "listening");
      try {
        const messages: Buffer[] = [];
        collector.on("message", (message) => messages.push(message));
        const flowExport = {
          collector: "127.0.0.1",
          port: collector.address().port,
          observationDomainId: 77,
          activeTimeoutMs: 1_000,
          idleTimeoutMs: 1_000,
          samplingRate: 1,
        };
        const spec = { ...specOf(test), flowExport };
        await applied(test, spec, 1);
        await using stations = new Stations(test);
        const one = await stations.connect(spec, { portKey: "one" });
        const two = await stations.connect(spec, { portKey: "two" });
        await stations.mustReach([one, two], () => true, "while flows are told");
        const { signal } = test.operation();
        // The addresses of the datagram, as they stand in a flow record.
        const addresses = [Buffer.from([192, 0, 2, 1]), Buffer.from([239, 1, 2, 3])];
        const isRecord = (message: Buffer): boolean =>
          message.length > 16 &&
          message.readUInt16BE(0) === 10 &&
          message.readUInt16BE(2) === message.length &&
          message.readUInt32BE(12) === 77 &&
          addresses.every((address) => message.includes(address));
        // A collector can read nothing before it has the template: set 2.
        const isTemplate = (message: Buffer): boolean => message.length > 20 && message.readUInt16BE(16) === 2;
        while (!messages.some(isRecord) || !messages.some(isTemplate)) {
          must(!signal.aborted, "no record of the flow arrived at the collector");
          one.nic.send(multicastFrame(one.mac, "239.1.2.3", "counted"));
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      } finally {
        collector.close();
      }
    },
  },
];
