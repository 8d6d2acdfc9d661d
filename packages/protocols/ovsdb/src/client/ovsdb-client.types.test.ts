import { expectTypeOf, test } from "vitest";
import type { Uuid } from "../model/row-types.ts";
import type { OpenVSwitchTables } from "../models/open-vswitch.ts";
import type { OvnSouthboundTables } from "../models/ovn-southbound.ts";
import type { OvsdbClient } from "./ovsdb-client.ts";

declare const client: OvsdbClient<OpenVSwitchTables>;
declare const southbound: OvsdbClient<OvnSouthboundTables>;

// Checked by the compiler; nothing of it runs.
test("a monitor has the rows of the columns that were asked for", () => {
  async function check(): Promise<void> {
    const monitor = await client.monitor({
      Bridge: true,
      Port: ["name", "tag"],
      Interface: { columns: ["ofport"], where: [["name", "==", "x"]] },
    });
    expectTypeOf(monitor.tables.Bridge.only()!.ports).toEqualTypeOf<readonly Uuid<"Port">[]>();
    expectTypeOf(monitor.tables.Bridge.only()!.fail_mode).toEqualTypeOf<"secure" | "standalone" | undefined>();
    expectTypeOf(monitor.tables.Port.only()!.tag).toEqualTypeOf<number | undefined>();
    // @ts-expect-error it is not monitored
    monitor.tables.Port.only()!.trunks;
    // @ts-expect-error nor is this
    monitor.tables.Controller;
    // @ts-expect-error a row of another table
    monitor.tables.Port.get(monitor.tables.Bridge.only()!._uuid);
    // @ts-expect-error rows are immutable
    monitor.tables.Bridge.only()!.name = "x";
    // @ts-expect-error there is no such column
    await client.monitor({ Bridge: ["names"] });
    await monitor.setConditions({ Interface: [["type", "==", "internal"]], Port: true });
    monitor.on("changes", ([change]) => {
      if (change?.table === "Port" && change.kind === "updated") {
        expectTypeOf(change.old.tag).toEqualTypeOf<number | undefined>();
        expectTypeOf(change.columns).toEqualTypeOf<readonly ("_uuid" | "name" | "tag")[]>();
      }
    });
  }
  expectTypeOf(check).returns.resolves.toBeVoid();
});

test("a transaction takes what the columns take", () => {
  function check(): void {
    const transaction = client.transaction();
    const face = transaction.insert("Interface", { name: "vif", mac: undefined, external_ids: { a: "b" } });
    const port = transaction.insert("Port", { name: "vif", interfaces: [face] });
    transaction.mutate("Bridge", { name: "br" }, [["ports", "insert", [port]]]);
    transaction.mutate("Bridge", port.table === "Port" ? [] : [], [["ports", "insert", port]]);
    transaction.mutate("Open_vSwitch", [], [["next_cfg", "+=", 1]]);
    transaction.mutate("Port", [], [["external_ids", "delete", ["a"]]]);
    transaction.update("Port", [["tag", ">", 4]], { tag: undefined, trunks: [1, 2] });
    transaction.update("QoS", [], { queues: new Map([[0, transaction.insert("Queue", {})]]) });
    transaction.delete("Port", port);
    // @ts-expect-error an interface is no port
    transaction.insert("Bridge", { ports: [face] });
    // @ts-expect-error a name never changes
    transaction.update("Bridge", [], { name: "x" });
    // @ts-expect-error there is no such mode
    transaction.update("Bridge", [], { fail_mode: "open" });
    // @ts-expect-error a set is an array
    transaction.update("Port", [], { trunks: 4 });
    // @ts-expect-error the column is not optional
    transaction.update("Port", [], { external_ids: undefined });
    // @ts-expect-error text has no arithmetic
    transaction.mutate("Interface", [], [["type", "+=", 1]]);
    const select = southbound.transaction().select("Port_Binding", [], ["chassis", "_uuid"]);
    expectTypeOf(select.row!.chassis).toEqualTypeOf<Uuid<"Chassis"> | undefined>();
  }
  expectTypeOf(check).returns.toBeVoid();
});
