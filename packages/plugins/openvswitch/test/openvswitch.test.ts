import { createOperationContext } from "@vdc-os/core";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { FilterRule, SwitchStatus } from "@vdc-os/core/network/v1";
import { type DummyPort, missingPrograms } from "@vdc-os/ovsdb/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BridgeFlows } from "../src/control/bridge-flows.ts";
import { OpenVswitchFabric } from "./openvswitch-fabric.ts";
import { configOf, memoryStore } from "./openvswitch-instance.ts";
import { bridge, isUp, open, portOf, SwitchSession, specOf, switchId, untilStatus } from "./switch-session.ts";

const context = createOperationContext();

const missing = missingPrograms("openvswitch");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: what the switch does on Open vSwitch`);
}

describe.skipIf(missing.length > 0)("a switch on Open vSwitch", () => {
  let fabric: OpenVswitchFabric;
  let session: SwitchSession;

  beforeAll(async () => {
    fabric = await OpenVswitchFabric.start();
  });
  afterAll(async () => {
    await fabric[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    session = new SwitchSession(fabric);
  });
  afterEach(async () => {
    await session[Symbol.asyncDispose]();
  });

  it("puts right what somebody else did to the flows of a bridge", async () => {
    const control = await session.start(memoryStore(), { auditIntervalMs: 100 });
    await control.applySwitch({ spec: specOf(), generation: 1 }, context);
    await control.connectPort(portOf(1), context);
    const lines = (text: string): readonly string[] => text.split("\n").filter((line) => line.includes("cookie"));
    const cookies = (text: string): readonly string[] =>
      lines(text)
        .filter((line) => line.includes("table=7,"))
        .map((line) => line.trim().split(",", 1).join());
    const before = await session.flowsOf("host-1");
    const { openVswitch } = fabric.host("host-1");
    await openVswitch.ofctl("del-flows", bridge, "-OOpenFlow13", "table=7");
    await openVswitch.ofctl("add-flow", bridge, "-OOpenFlow13", "table=0,priority=99,actions=flood");
    await expect
      .poll(async () => {
        const now = await session.flowsOf("host-1");
        return [lines(now).length, now.includes("priority=99")];
      })
      .toEqual([lines(before).length, false]);
    // Each change has a number in its cookies: these flows were gone, and are new ones.
    const after = cookies(await session.flowsOf("host-1"));
    expect(after.length).toBeGreaterThan(0);
    expect(after.filter((cookie) => cookies(before).includes(cookie))).toEqual([]);
  });

  it("lets a manager that was replaced change nothing any more", async () => {
    const store = memoryStore();
    const first = await session.start(store);
    await first.applySwitch({ spec: specOf(), generation: 1 }, context);
    await untilStatus(first, isUp);
    const second = await session.start(store);
    await untilStatus(second, isUp);
    await expect(first.connectPort(portOf(1), context)).rejects.toMatchObject({
      code: "ABORTED",
      reason: "VDC_SUPERSEDED",
    });
    await second.connectPort(portOf(2), context);
    const remote = `unix:${fabric.host("host-1").openVswitch.runDirectory}/${bridge}.mgmt`;
    expect(await BridgeFlows.connect({ remote }, 1n), "a lower number than both managers have").toBeUndefined();
  });

  it("refuses flows of a connection that is not the master any more", async () => {
    const control = await session.start();
    await control.applySwitch({ spec: specOf(), generation: 1 }, context);
    await untilStatus(control, isUp);
    await control.close();
    const remote = `unix:${fabric.host("host-1").openVswitch.runDirectory}/${bridge}.mgmt`;
    const older = await BridgeFlows.connect({ remote }, 1_000n);
    const newer = await BridgeFlows.connect({ remote }, 1_001n);
    const flow = { table: 99, priority: 1, match: [] };
    await newer?.sync([flow], []);
    await expect(older?.sync([], [])).rejects.toMatchObject({ code: "OPENFLOW_REFUSED" });
    expect(await session.flowsOf("host-1")).toContain("table=99");
    older?.close();
    newer?.close();
  });

  it("connects a thousand ports that come together in a few transactions", async () => {
    const store = memoryStore();
    let transactions = 0;
    const control = await session.start({
      list: (input, options) => store.list(input, options),
      transact: (input, options) => {
        transactions += 1;
        return store.transact(input, options);
      },
    });
    await control.applySwitch({ spec: specOf(), generation: 1 }, context);
    await untilStatus(control, isUp);
    transactions = 0;
    const numbers = Array.from({ length: 1_000 }, (_, index) => index + 1);
    const bindings = await Promise.all(numbers.map((number) => control.connectPort(portOf(number), context)));
    expect(new Set(bindings.map(({ attachment }) => JSON.stringify(attachment))).size).toBe(1_000);
    // Five hundred operations are one transaction.
    expect(transactions).toBe(2);
    await untilStatus(control, isUp);
  });

  it("filters by addresses, protocols and ports, in both directions", async () => {
    const drop = (rule: Pick<FilterRule, "name" | "direction" | "match">): FilterRule => ({
      ...rule,
      action: { kind: "drop" },
    });
    const filters: readonly FilterRule[] = [
      drop({ name: "low ports", direction: "in", match: { protocol: 17, destinationPorts: { from: 1, to: 1023 } } }),
      drop({ name: "a network", direction: "out", match: { sourcePrefix: "192.0.2.128/25" } }),
    ];
    const control = await session.start();
    await control.applySwitch({ spec: specOf({ ...open, filters }), generation: 1 }, context);
    const special = await session.plug(control, portOf(1, { portGroup: "special" }));
    const plain = await session.plug(control, portOf(2, { host: "host-2" }));
    const send = (from: DummyPort, number: number, address: string, port: number): void => {
      from.send(udpFrame(portOf(number).mac, address, port));
    };
    const heard = (port: DummyPort): readonly number[] => port.frames.map((frame) => frame.readUInt16BE(36));
    send(special, 1, "192.0.2.1", 80);
    send(special, 1, "192.0.2.1", 1023);
    send(special, 1, "192.0.2.1", 1024);
    await plain.receive({ matching: (frame) => frame.readUInt16BE(36) === 1024 });
    expect(heard(plain)).toEqual([1024]);
    send(plain, 2, "192.0.2.129", 5001);
    send(plain, 2, "192.0.2.127", 5002);
    await special.receive({ matching: (frame) => frame.readUInt16BE(36) === 5002 });
    expect(heard(special)).toEqual([5002]);
    await expect
      .poll(async () => (await control.portStatistics({ switchId, portKeys: ["p1"] }))[0])
      .toMatchObject({ framesIn: "3", framesForwarded: "1", dropsIn: { filtered: "2" }, dropsOut: { filtered: "1" } });
  });

  it("tells a tunnel that can't be made", async () => {
    const config = configOf(fabric);
    const hosts = { ...config.hosts, "host-2": { ...config.hosts["host-2"], tunnelAddress: "no address" } };
    const control = await session.start(memoryStore(), { hosts });
    await control.applySwitch({ spec: specOf(), generation: 1 }, context);
    await untilStatus(control, ({ members }) =>
      members.some(
        ({ host, state, detail }) => host === "host-1" && state === "outOfSync" && detail.includes("host-2"),
      ),
    );
  });

  it("is there again after Open vSwitch was killed", async () => {
    const control = await session.start();
    await control.applySwitch({ spec: specOf(), generation: 1 }, context);
    await control.connectPort(portOf(1, { host: "host-2" }), context);
    await untilStatus(control, isUp);
    const before = await session.flowsOf("host-2");
    const { switchd } = fabric.host("host-2").openVswitch;
    const down = untilStatus(control, (status) => !isUp(status));
    await switchd.kill();
    await down;
    await switchd.start();
    await untilStatus(control, isUp);
    // The moment it is told to be up, all of it is there.
    expect(told(await session.flowsOf("host-2"))).toEqual(told(before));
  });

  it("is not up before flows are there again, where the connection is there at once", async () => {
    const { runDirectory, ofctl } = fabric.host("host-2").openVswitch;
    const connections = new Set<Socket>();
    const relay = createServer((socket) => {
      const onward = connect({ path: join(runDirectory, `${bridge}.mgmt`) });
      connections.add(socket);
      const end = (): void => {
        socket.destroy();
        onward.destroy();
      };
      for (const each of [socket, onward]) each.on("error", end).on("close", end);
      socket.pipe(onward).pipe(socket);
    });
    const path = join(runDirectory, "relay.sock");
    await new Promise<void>((resolve) => void relay.listen(path, resolve));
    try {
      const config = configOf(fabric);
      const hosts = { ...config.hosts, "host-2": { ...config.hosts["host-2"], openFlow: `unix:${path}` } };
      const control = await session.start(memoryStore(), { hosts });
      await control.applySwitch({ spec: specOf(), generation: 1 }, context);
      // Enough that writing them takes a while.
      const ports = Array.from({ length: 300 }, (_, index) => portOf(index + 1, { host: "host-2" }));
      await Promise.all(ports.map((port) => control.connectPort(port, context)));
      await untilStatus(control, isUp);
      const before = told(await session.flowsOf("host-2"));
      await ofctl("del-flows", bridge, "-OOpenFlow13");
      for (const each of connections) each.destroy();
      const status = (): Promise<SwitchStatus> => control.switchStatus({ switchId });
      while (isUp(await status())) await setImmediate();
      while (!isUp(await status())) await setImmediate();
      expect(told(await session.flowsOf("host-2"))).toEqual(before);
    } finally {
      for (const each of connections) each.destroy();
      await new Promise((resolve) => void relay.close(resolve));
    }
  });
});

/** What the flows of a dump say, without what they counted, when they came, and by which change. */
function told(dump: string): readonly string[] {
  const lines = dump.split("\n").filter((line) => line.includes("table="));
  return lines
    .map((line) => {
      const cookie = /cookie=0x([0-9a-f]+),/.exec(line)?.[1] ?? "";
      return `${cookie.padStart(12, "0").slice(-12)} ${line.slice(line.indexOf("table=")).replace(/n_packets=\d+, n_bytes=\d+, /, "")}`;
    })
    .sort();
}

/** A UDP datagram to everybody: the destination port is at octet 36. */
function udpFrame(mac: string, address: string, port: number): Buffer {
  const frame = Buffer.alloc(60);
  frame.fill(0xff, 0, 6);
  frame.write(mac.replaceAll(":", ""), 6, "hex");
  frame.writeUInt16BE(0x0800, 12);
  frame.writeUInt8(0x45, 14);
  frame.writeUInt16BE(46, 16);
  frame.writeUInt8(64, 22);
  frame.writeUInt8(17, 23);
  frame.set(address.split(".").map(Number), 26);
  frame.set([192, 0, 2, 255], 30);
  frame.writeUInt16BE(4_000, 34);
  frame.writeUInt16BE(port, 36);
  frame.writeUInt16BE(26, 38);
  return frame;
}
