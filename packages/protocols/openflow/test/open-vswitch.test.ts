import { missingPrograms, type OpenVswitch, startOpenVswitch } from "@vdc-os/ovsdb/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  addFlow,
  addressValue,
  connectOpenFlow,
  decodeMatch,
  deleteFlow,
  deleteFlows,
  type Flow,
  fieldValue,
  macValue,
  meterMod,
  type OpenFlowClient,
  type PacketIn,
  type PortStatus,
} from "../src/index.ts";

const missing = missingPrograms("openvswitch");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: what Open vSwitch says to the client`);
}

const broadcast = Buffer.concat([Buffer.from("ffffffffffff525400000001080045", "hex"), Buffer.alloc(45)]);
const wholeTable = { table: 9, priority: 5, match: [], actions: [{ kind: "output", port: 1 }] } as const;

describe.skipIf(missing.length > 0)("Open vSwitch", () => {
  let ovs: OpenVswitch;
  let remote: string;

  beforeAll(async () => {
    ovs = await startOpenVswitch();
    remote = `unix:${ovs.runDirectory}/b0.mgmt`;
    await ovs.vsctl("add-br", "b0", "--", "set", "Bridge", "b0", "datapath_type=dummy", "fail_mode=secure");
  });
  afterAll(async () => {
    await ovs[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await ovs.ofctl("del-flows", "b0", "-OOpenFlow13");
    await ovs.vsctl("--if-exists", "del-port", "p1", "--", "--if-exists", "del-port", "p2");
  });

  const dump = (): Promise<string> => ovs.ofctl("dump-flows", "b0", "-OOpenFlow13");

  test("shows by its own tool the flows that were added, and tells them as they are", async () => {
    await using client = await connectOpenFlow({ remote });
    const flows: readonly Flow[] = [
      {
        table: 3,
        priority: 7,
        match: [
          { field: "inPort", value: 5n },
          { field: "vlanVid", value: 0x100an },
          { field: "ethDst", value: macValue("52:54:00:00:00:00"), mask: 0xffff_0000_0000n },
          { field: "reg3", value: 9n },
        ],
        actions: [
          { kind: "popVlan" },
          { kind: "set", field: "reg0", value: 4n },
          { kind: "clone", actions: [{ kind: "output", port: 6, maxLength: 64 }] },
          { kind: "resubmit", table: 8 },
          { kind: "toController", maxLength: 128 },
        ],
        next: 4,
      },
      {
        table: 3,
        priority: 8,
        match: [
          { field: "ethType", value: 0x86ddn },
          { field: "ipv6Dst", value: addressValue("2001:db8::"), mask: (2n ** 32n - 1n) << 96n },
          { field: "ipProto", value: 6n },
          { field: "tcpDst", value: 443n },
        ],
      },
    ];
    expect(await client.modify(flows.map((flow, at) => addFlow(flow, BigInt(at + 1))))).toEqual([]);
    const shown = await dump();
    expect(shown).toContain(
      "priority=7,reg3=0x9,in_port=5,dl_vlan=10,dl_dst=52:54:00:00:00:00/ff:ff:00:00:00:00 actions=pop_vlan,set_field:0x4->reg0," +
        "clone(output(port=6,max_len=64)),resubmit(,8),CONTROLLER:128,goto_table:4",
    );
    expect(shown).toContain("priority=8,tcp6,ipv6_dst=2001:db8::/32,tp_dst=443 actions=drop");
    const told = await client.flows({ table: 3 });
    const byCookie = new Map(told.map((flow) => [flow.cookie, flow]));
    for (const [at, { match }] of flows.entries()) {
      const read = decodeMatch(byCookie.get(BigInt(at + 1))?.match ?? Buffer.alloc(0));
      for (const { field, value } of match) expect(fieldValue(read, field)).toBe(value);
      expect(read.length).toBe(match.length);
    }
    const [first] = told.filter(({ cookie }) => cookie === 1n);
    if (first === undefined) throw new Error("the flow is not there");
    // One with another cookie stays.
    await client.modify([deleteFlow({ ...first, cookie: 3n })]);
    expect(await client.aggregate({ cookie: 1n })).toMatchObject({ flows: 1 });
    await client.modify([deleteFlow(first)]);
    expect(await client.aggregate({ cookie: 1n })).toMatchObject({ flows: 0 });
    await client.modify([deleteFlows({ match: [{ field: "ethType", value: 0x86ddn }] })]);
    expect(await client.flows()).toEqual([]);
  });

  test("refuses by names, and does the others", async () => {
    await using client = await connectOpenFlow({ remote });
    const needy = { table: 1, priority: 1, match: [{ field: "tcpDst", value: 1n }] } as const;
    const stray = { table: 3, priority: 1, match: [], next: 2 } as const;
    const refused = await client.modify([addFlow(needy), addFlow(wholeTable, 1n), addFlow(stray)]);
    expect(refused.map(({ index, refusal }) => [index, refusal.name])).toEqual([
      [0, "OFPBMC_BAD_PREREQ"],
      [2, "OFPBIC_BAD_TABLE_ID"],
    ]);
    expect(await client.aggregate()).toMatchObject({ flows: 1 });
  });

  test("does a bundle whole, or not at all", async () => {
    await using client = await connectOpenFlow({ remote });
    const flows = Array.from({ length: 100 }, (_, at) => addFlow({ table: 1, priority: at + 1, match: [] }, 1n));
    expect(await client.commit(flows)).toEqual([]);
    expect(await client.aggregate({ table: 1 })).toMatchObject({ flows: 100 });
    const needy = addFlow({ table: 2, priority: 1, match: [{ field: "tcpDst", value: 1n }] });
    const refused = await client.commit([deleteFlows(), addFlow(wholeTable), needy]);
    expect(refused.map(({ index, refusal }) => [index, refusal.name])).toEqual([[2, "OFPBMC_BAD_PREREQ"]]);
    expect(await client.aggregate()).toMatchObject({ flows: 100 });
    // A meter can't join.
    const meter = meterMod("add", { id: 1, unit: "packets", rate: 1, burst: 1 });
    expect(await client.commit([deleteFlows(), meter])).toMatchObject([{ index: 1 }]);
    expect(await client.commit([deleteFlows(), addFlow(wholeTable)])).toEqual([]);
    expect(await client.aggregate()).toMatchObject({ flows: 1 });
  });

  test("refuses in the commit what it took into the bundle, and does none of it", async () => {
    await using client = await connectOpenFlow({ remote });
    // The table may hold two flows: only when all is done does it turn out that the third has no room.
    await ovs.vsctl("--", "--id=@t", "create", "Flow_Table", "flow_limit=2", "overflow_policy=refuse", ...tableOf(1));
    const flows = [1, 2, 3].map((priority) => addFlow({ table: 1, priority, match: [] }));
    const refused = await client.commit(flows);
    expect(refused.map(({ index, refusal }) => [index, refusal.name])).toEqual([[2, "OFPFMFC_TABLE_FULL"]]);
    expect(await client.aggregate()).toMatchObject({ flows: 0 });
    await ovs.vsctl("clear", "Bridge", "b0", "flow_tables");
  });

  test("limits by a meter, and counts what that dropped", async () => {
    await using client = await connectOpenFlow({ remote });
    const meter = { id: 3, unit: "packets", rate: 1, burst: 1 } as const;
    expect(await client.modify([meterMod("add", meter)])).toEqual([]);
    expect(await ovs.ofctl("dump-meters", "b0", "-OOpenFlow13")).toMatch(
      /meter=3 pktps burst stats bands=\s+type=drop rate=1 burst_size=1/,
    );
    expect(await client.meterStats()).toEqual([{ id: 3, dropped: 0n }]);
    expect(await client.modify([meterMod("modify", { ...meter, id: 4 })])).toMatchObject([
      { refusal: { name: "OFPMMFC_UNKNOWN_METER" } },
    ]);
    expect(await client.modify([meterMod("delete", meter)])).toEqual([]);
    expect(await client.meterStats()).toEqual([]);
  });

  test("tells ports as they come and go, and what they count", async () => {
    const changes: PortStatus[] = [];
    await using client = await connectOpenFlow({ remote, onPortStatus: (status) => changes.push(status) });
    await using port = await ovs.openPort({ bridge: "b0", name: "p1" });
    await expect.poll(() => changes.map(({ reason, port: { name } }) => `${reason} ${name}`)).toContain("added p1");
    const found = (await client.ports()).find(({ name }) => name === "p1");
    if (found === undefined) throw new Error("the port is not told");
    expect(found).toMatchObject({ isDisabled: false });
    client.sendFrame(found.number, broadcast);
    expect(await port.receive()).toEqual(broadcast);
    await expect
      .poll(async () => (await client.portStats()).find((each) => each.port === found.number))
      .toMatchObject({ framesOut: 1n, octetsOut: 60n });
    await ovs.vsctl("del-port", "p1");
    await expect.poll(() => changes.at(-1)).toMatchObject({ reason: "deleted", port: { name: "p1" } });
  });

  test("shows frames with what it knew of them", async () => {
    const packets: PacketIn[] = [];
    await using client = await connectOpenFlow({ remote, onPacket: (packet) => packets.push(packet) });
    await using port = await ovs.openPort({ bridge: "b0", name: "p2" });
    const number = (await client.ports()).find(({ name }) => name === "p2")?.number ?? 0;
    const show = { kind: "toController", maxLength: 20 } as const;
    const mark = { kind: "set", field: "reg2", value: 77n } as const;
    await client.modify([addFlow({ table: 0, priority: 1, match: [], actions: [mark, show] }, 5n)]);
    port.send(broadcast);
    await expect.poll(() => packets.length).toBe(1);
    const [packet] = packets;
    expect(packet).toMatchObject({ table: 0, cookie: 5n, originalLength: 60 });
    // Whatever the action says: it has no place to keep the rest.
    expect(packet?.data.equals(broadcast)).toBe(true);
    expect(fieldValue(packet?.match ?? [], "inPort")).toBe(BigInt(number));
    expect(fieldValue(packet?.match ?? [], "reg2")).toBe(77n);
  });

  test("lets one connection be the master, by the highest number", async () => {
    await using first = await connectOpenFlow({ remote });
    await using second = await connectOpenFlow({ remote });
    expect(await first.becomeMaster(10n)).toBe(true);
    expect(await second.becomeMaster(9n)).toBe(false);
    expect(await second.becomeMaster(11n)).toBe(true);
    expect(await first.modify([addFlow(wholeTable)])).toMatchObject([{ refusal: { name: "OFPBRC_IS_SLAVE" } }]);
    expect(await second.modify([addFlow(wholeTable)])).toEqual([]);
  });

  test("says who it is, and when it has gone", async () => {
    const client = await connectOpenFlow({ remote });
    const told = (await ovs.vsctl("get", "Bridge", "b0", "datapath_id")).trim().replaceAll('"', "");
    expect(await client.features()).toEqual({ datapathId: told, tables: 254 });
    await ovs.switchd.kill();
    expect((await client.closed).code).toBe("OPENFLOW_CLOSED");
    await expect(connectOpenFlow({ remote })).rejects.toMatchObject({ code: "OPENFLOW_CONNECT_FAILED" });
    await ovs.switchd.start();
    await expect.poll(() => connectOpenFlow({ remote }).then(isOpenAndClose, () => false)).toBe(true);
  });

  test("tells a client of another version apart", async () => {
    await ovs.vsctl("set", "Bridge", "b0", "protocols=OpenFlow10");
    try {
      await expect(connectOpenFlow({ remote })).rejects.toMatchObject({ code: "OPENFLOW_PROTOCOL" });
    } finally {
      await ovs.vsctl("clear", "Bridge", "b0", "protocols");
    }
  });
});

/** Words that make a row `@t` the bridge's settings of a table. */
function tableOf(table: number): readonly string[] {
  return ["--", "set", "Bridge", "b0", `flow_tables:${table}=@t`];
}

function isOpenAndClose(client: OpenFlowClient): boolean {
  const { isOpen } = client;
  client.close();
  return isOpen;
}
