import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import type { MirrorSession } from "@vdc-os/core/network/v1";
import { readErspan } from "../../src/wire/mirror/erspan-packet.ts";
import { PROTOCOL_GRE, readPacketHeaders } from "../../src/wire/packet/packet-headers.ts";
import { TapDevice } from "../../src/wire/tap/tap-device.ts";
import { testFrame } from "../fake-nic.ts";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";
import { hasNamespaces } from "./network-namespace.ts";
import { NodeStation } from "./node-station.ts";
import { dissect, hasTshark } from "./tshark.ts";

function mirrorTo(address: string): readonly MirrorSession[] {
  return [
    { name: "watch", sourcePorts: ["nic1"], direction: "both", destination: { kind: "erspan", address, session: 77 } },
  ];
}

it.runIf(hasNamespaces())(
  "copies of a port's frames reach an analyser by ERSPAN, from whichever host the port is on",
  async () => {
    await using stack = new AsyncDisposableStack();
    // A network for benchmarks, one per process so that two runs don't meet.
    const net = `198.18.${(process.pid >> 6) & 255}`;
    const first = (process.pid & 63) * 4;
    const analyser = new NodeStation({ mac: 0x5254_0000_0d02, address: `${net}.${first + 2}` });
    const copies: Buffer[] = [];
    let wake: () => void = () => undefined;
    const tap = stack.use(
      TapDevice.open({
        name: "vdce%d",
        onFrame: (buffer, start, end) => {
          const frame = Buffer.from(buffer.subarray(start, end));
          analyser.receive(frame);
          if (readPacketHeaders(frame)?.ip?.protocol === PROTOCOL_GRE) copies.push(frame);
        },
        onBatchEnd: () => wake(),
      }),
    );
    analyser.send = (frame) => tap.deliver(frame, 0, frame.length);
    execFileSync("ip", ["addr", "add", `${net}.${first + 1}/30`, "dev", tap.name]);
    execFileSync("ip", ["link", "set", tap.name, "up"]);
    const until = async (count: number): Promise<void> => {
      while (copies.length < count)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    };

    const cluster = stack.use(await SwitchCluster.create(["a", "b"]));
    await cluster.apply(testSpec(["a", "b"], { mirrors: mirrorTo(analyser.address) }), 1);
    await cluster.allUp(1);
    const one = await cluster.plug("nic1", "a", { portGroup: "red" });
    const two = await cluster.plug("nic2", "b", { portGroup: "red" });
    // The kernel finds the analyser's address first; until then it keeps a few packets.
    one.say("from the source", "all");
    await until(1);
    const long = testFrame({ to: one.mac, from: two.mac, text: "to the source", length: 1400 });
    two.send(long);
    await one.heard("to the source");
    await until(2);
    const read = copies.map((frame) => {
      const ip = readPacketHeaders(frame)?.ip;
      return readErspan(frame.subarray(ip?.payloadStart, ip?.payloadEnd));
    });
    expect(read).toMatchObject([
      { session: 77, sequence: 1, vlan: 10, direction: "in" },
      { session: 77, sequence: 2, vlan: 10, direction: "out" },
    ]);
    expect(read[1]?.frame.subarray(-1386)).toEqual(long.subarray(-1386));
    if (hasTshark()) {
      const fields = ["erspan.spanid", "erspan.vlan", "gre.sequence_number", "ip.proto", "erspan.truncated"];
      expect(dissect(copies, fields)).toEqual([
        ["77", "10", "1", "47", "0"],
        ["77", "10", "2", "47", "0"],
      ]);
    }
  },
);

it("a host without raw sockets is in force but for ERSPAN, and says what is missing; nothing else suffers", async () => {
  await using cluster = await SwitchCluster.create();
  cluster.addHost("a").openGre = () => "this process has no CAP_NET_RAW";
  await cluster.apply(testSpec(["a"], { mirrors: mirrorTo("192.0.2.9") }), 1);
  const { members } = await cluster.status(({ members }) => members.every(({ state }) => state === "warning"));
  expect(members).toEqual([
    {
      host: "a",
      state: "warning",
      realizedGeneration: 1,
      detail: "mirror session 'watch' copies nothing: this process has no CAP_NET_RAW",
    },
  ]);
  const one = await cluster.plug("nic1", "a");
  const two = await cluster.plug("nic2", "a");
  one.say("all the same", "all");
  await two.heard("all the same");
  await cluster.apply(testSpec(["a"]), 2);
  await cluster.allUp(2);
  const refused = testSpec(["a"], { mirrors: mirrorTo("analyser.example") });
  expect(await cluster.control.validateSwitch({ spec: refused }, cluster.operation())).toEqual([
    { path: "mirrors[0].destination.address", message: "'analyser.example' is no IP address" },
  ]);
});
