import { connectOvsdb, type MonitorMethod, type OvsdbClient, type RowChange } from "@vdc-os/ovsdb";
import { OpenVSwitch, type OpenVSwitchTables } from "@vdc-os/ovsdb/open-vswitch";
import { type OvsdbServer, startOvsdbServer } from "@vdc-os/ovsdb/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { daemonsPresent } from "./daemons-present.ts";

const present = daemonsPresent("openvswitch");
let server: OvsdbServer;

beforeAll(async () => {
  if (!present) return;
  server = await startOvsdbServer({ source: { installedSchema: "vswitch" } });
  await server.transact({ op: "insert", table: "Open_vSwitch", row: {} });
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

type Client = OvsdbClient<OpenVSwitchTables>;

async function addBridge(client: Client, name: string) {
  const transaction = client.transaction();
  const face = transaction.insert("Interface", { name, type: "internal", external_ids: { "iface-id": `id-${name}` } });
  const port = transaction.insert("Port", { name, interfaces: [face], trunks: [4094, 2, 100], vlan_mode: "trunk" });
  const bridge = transaction.insert("Bridge", { name, ports: [port], fail_mode: "secure" });
  transaction.mutate(
    "Open_vSwitch",
    [],
    [
      ["bridges", "insert", [bridge]],
      ["next_cfg", "+=", 1],
    ],
  );
  const result = await client.transact(transaction);
  return { bridge: result.uuid(bridge), port: result.uuid(port), face: result.uuid(face) };
}

async function removeBridge(client: Client, name: string): Promise<void> {
  const { rows } = await selectBridge(client, name);
  await client.transact((transaction) => {
    transaction.mutate("Open_vSwitch", [], [["bridges", "delete", rows.map(({ _uuid }) => _uuid)]]);
  });
}

async function selectBridge(client: Client, name: string) {
  const transaction = client.transaction();
  const select = transaction.select("Bridge", { name });
  return { rows: (await client.transact(transaction)).rows(select) };
}

describe.skipIf(!present)("a real server", () => {
  describe.each<MonitorMethod>(["monitor_cond_since", "monitor_cond", "monitor"])("%s", (monitorMethod) => {
    test("tables show a transaction's effect when it resolves, and tell it row by row", async () => {
      await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch, monitorMethod });
      const monitor = await client.monitor({
        Open_vSwitch: true,
        Bridge: ["name", "fail_mode", "external_ids"],
        Port: true,
        Interface: { columns: ["name", "external_ids"], where: [["type", "==", "internal"]] },
      });
      type Rows = Parameters<Parameters<typeof monitor.waitFor>[0]>[0];
      const told: string[] = [];
      monitor.on("changes", (changes) => {
        for (const change of changes) told.push(`${change.kind} ${change.table}`);
      });
      const byIfaceId = monitor.tables.Interface.indexBy((row) => row.external_ids["iface-id"]);
      const generation = monitor.tables.Open_vSwitch.only()!.next_cfg;

      const uuids = await addBridge(client, "br1");
      const bridge = monitor.tables.Bridge.get(uuids.bridge)!;
      expect({ ...bridge, external_ids: { ...bridge.external_ids } }).toEqual({
        _uuid: uuids.bridge,
        name: "br1",
        fail_mode: "secure",
        external_ids: {},
      });
      expect(monitor.tables.Port.find({ name: "br1" })?.trunks).toEqual([2, 100, 4094]);
      expect(byIfaceId.one("id-br1")?._uuid).toBe(uuids.face);
      expect(monitor.tables.Open_vSwitch.only()!.next_cfg).toBe(generation + 1);
      expect(told.sort()).toEqual(["added Bridge", "added Interface", "added Port", "updated Open_vSwitch"]);

      told.length = 0;
      await client.transact((transaction) => {
        transaction.update("Bridge", { name: "br1" }, { fail_mode: undefined, external_ids: { a: "1", b: "2" } });
        transaction.mutate("Port", uuids.port, [["trunks", "delete", [2, 7]]]);
      });
      await client.transact((transaction) => {
        transaction.mutate("Bridge", uuids.bridge, [
          ["external_ids", "delete", ["a"]],
          ["external_ids", "insert", { c: "3" }],
        ]);
        transaction.mutate("Interface", uuids.face, [["external_ids", "delete", { "iface-id": "id-br1" }]]);
      });
      const changed = monitor.tables.Bridge.get(uuids.bridge)!;
      expect(changed.fail_mode).toBeUndefined();
      expect(Object.entries(changed.external_ids)).toEqual([
        ["b", "2"],
        ["c", "3"],
      ]);
      expect(monitor.tables.Port.get(uuids.port)?.trunks).toEqual([100, 4094]);
      expect(byIfaceId.get("id-br1")).toEqual([]);
      // The row of before is as it was.
      expect(bridge.fail_mode).toBe("secure");
      expect(() => Object.assign(changed, { name: "x" })).toThrow(TypeError);

      told.length = 0;
      await removeBridge(client, "br1");
      expect(told.sort()).toEqual(["deleted Bridge", "deleted Interface", "deleted Port", "updated Open_vSwitch"]);
      expect(monitor.tables.Bridge.size).toBe(0);
      expect<Rows>(monitor.tables).toBe(monitor.tables);
    });

    test("conditions change what is seen, and that is told", async () => {
      await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch, monitorMethod });
      await addBridge(client, "c1");
      await addBridge(client, "c2");
      const monitor = await client.monitor({ Bridge: { columns: ["ports"], where: [["name", "==", "c1"]] } });
      const changes: RowChange<{ Bridge: { _uuid: never } }>["kind"][] = [];
      monitor.on("changes", (told) => {
        changes.push(...told.map(({ kind }) => kind));
      });
      expect(monitor.tables.Bridge.size).toBe(1);
      expect(Object.keys(monitor.tables.Bridge.only()!)).toEqual(["_uuid", "ports"]);
      await monitor.setConditions({ Bridge: [["name", "==", "c2"]] });
      expect(monitor.tables.Bridge.size).toBe(1);
      expect(changes.sort()).toEqual(["added", "deleted"]);
      await monitor.setConditions({ Bridge: [] });
      expect(monitor.tables.Bridge.size).toBe(0);
      await monitor.setConditions({ Bridge: true });
      expect(monitor.tables.Bridge.size).toBe(2);
      await removeBridge(client, "c1");
      await removeBridge(client, "c2");
      await monitor.cancel();
    });
  });

  test("a failing operation is named, and nothing of its transaction takes effect", async () => {
    await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    const failing = client.transact((transaction) => {
      transaction.comment("tries to");
      transaction.update("Open_vSwitch", [], { ovs_version: "never" });
      transaction.wait("Open_vSwitch", [], { columns: ["db_version"], rows: [], until: "==", timeoutMs: 0 });
      transaction.comment("not reached");
    });
    await expect(failing).rejects.toMatchObject({
      code: "OVSDB_OPERATION_FAILED",
      details: { index: 2, operation: "wait", table: "Open_vSwitch", error: "timed out" },
    });
    const select = client.transaction();
    const rows = select.select("Open_vSwitch", [], ["ovs_version"]);
    expect((await client.transact(select)).rows(rows)[0]?.ovs_version).toBeUndefined();
  });

  test("a commit that fails is told behind the last operation", async () => {
    await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    await addBridge(client, "dup");
    await expect(addBridge(client, "dup")).rejects.toMatchObject({
      code: "OVSDB_OPERATION_FAILED",
      details: { index: 4, operation: "commit", error: "constraint violation" },
    });
    await expect(client.transact((transaction) => transaction.abort())).rejects.toMatchObject({
      details: { operation: "abort", error: "aborted" },
    });
    await removeBridge(client, "dup");
  });

  test("a wait that another client fulfils", async () => {
    await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    await using other = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    const waiting = client.transact((transaction) => {
      transaction.wait("Bridge", { name: "late" }, { columns: ["name"], rows: [{ name: "late" }], until: "==" });
    });
    await addBridge(other, "late");
    await waiting;
    const aborter = new AbortController();
    const given = client.transact(
      (transaction) => transaction.wait("Bridge", { name: "never" }, { columns: ["name"], rows: [], until: "!=" }),
      { signal: aborter.signal },
    );
    aborter.abort();
    await expect(given).rejects.toMatchObject({ code: "OVSDB_ABORTED" });
    await removeBridge(other, "late");
  });

  test("waitFor sees a change of another client, and gives up in time", async () => {
    await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    await using other = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    const monitor = await client.monitor({ Bridge: ["name"] });
    const seen = monitor.waitFor(({ Bridge }) => Bridge.find({ name: "w1" })?._uuid);
    const { bridge } = await addBridge(other, "w1");
    expect(await seen).toBe(bridge);
    await expect(
      monitor.waitFor(({ Bridge }) => Bridge.find({ name: "w2" }), { timeoutMs: 20, what: "bridge 'w2'" }),
    ).rejects.toMatchObject({ code: "OVSDB_TIMEOUT", message: "Waited 20 ms in vain for bridge 'w2'." });
    await removeBridge(other, "w1");
  });

  test("a lock is held by one, handed on, stolen, and guards transactions", async () => {
    await using first = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    await using second = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    const mine = await first.lock("writer");
    await mine.acquired();
    const theirs = await second.lock("writer");
    expect(theirs.isHeld).toBe(false);
    const guarded = (client: Client) => client.transact((transaction) => transaction.assert("writer"));
    await guarded(first);
    await expect(guarded(second)).rejects.toMatchObject({ details: { operation: "assert", error: "not owner" } });
    await mine.release();
    await theirs.acquired();
    const lost = new Promise<void>((resolve) => theirs.on("lost", resolve));
    const stolen = await first.lock("writer", { steal: true });
    await stolen.acquired();
    await lost;
    await guarded(first);
    await stolen.release();
    await theirs.acquired();
  });

  test("a thousand ports in one transaction", async () => {
    await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    const { bridge } = await addBridge(client, "many");
    const monitor = await client.monitor({ Port: ["name"], Bridge: ["ports"] });
    const transaction = client.transaction();
    const ports = Array.from({ length: 1_000 }, (_, index) => {
      const face = transaction.insert("Interface", { name: `p${index}` });
      return transaction.insert("Port", { name: `p${index}`, interfaces: [face], tag: index });
    });
    transaction.mutate("Bridge", bridge, [["ports", "insert", ports]]);
    const startedAt = performance.now();
    await client.transact(transaction);
    console.log(`1,000 ports in one transaction: ${Math.round(performance.now() - startedAt)} ms`);
    expect(monitor.tables.Port.size).toBe(1_001);
    expect(monitor.tables.Bridge.get(bridge)?.ports).toHaveLength(1_001);
    await removeBridge(client, "many");
    expect(monitor.tables.Port.size).toBe(0);
  });

  test("names what a server does not have", async () => {
    await using client = await connectOvsdb({ remotes: server.remote, model: OpenVSwitch });
    expect(await client.listDatabases()).toContain("Open_vSwitch");
    await expect(client.request("no_such", [])).rejects.toMatchObject({
      code: "OVSDB_REQUEST_FAILED",
      details: { method: "no_such", error: "unknown method" },
    });
    await expect(client.request("get_schema", ["Nope"])).rejects.toMatchObject({ code: "OVSDB_REQUEST_FAILED" });
    await expect(
      connectOvsdb({ remotes: server.remote, model: { ...OpenVSwitch, name: "Nope" }, timeoutMs: 300 }),
    ).rejects.toMatchObject({ code: "OVSDB_CONNECT_FAILED" });
  });
});
