import type { MonitorViews, OvsdbClient, RowsOf } from "@vdc-os/ovsdb";
import type { OpenVSwitchTables } from "@vdc-os/ovsdb/open-vswitch";
import type { BridgePort } from "./bridge-port.ts";

/** What is followed of a host's Open vSwitch. */
export const followed = {
  Open_vSwitch: ["next_cfg", "cur_cfg"],
  Bridge: ["name", "ports", "datapath_type"],
  Port: ["name", "interfaces", "external_ids"],
  Interface: ["name", "external_ids", "ofport", "error"],
} as const;

/** Rows as {@link followed} has them. */
export type FollowedRows = RowsOf<OpenVSwitchTables, typeof followed>;

/** Tables as {@link followed} has them. */
export type FollowedTables = MonitorViews<FollowedRows>;

/** A transaction of a host's Open vSwitch. */
export type HostTransaction = ReturnType<OvsdbClient<OpenVSwitchTables>["transaction"]>;

/** What ports should be there. */
export interface DesiredPorts {
  /** The host's folder: what its ports are marked with. */
  readonly owner: string;
  /** By the tap's name. */
  readonly wanted: ReadonlyMap<string, BridgePort>;
  /** VMs whose ports are left as they are, because nothing is known of them. */
  readonly left: ReadonlySet<string>;
}

/** What marks a port as one of a host's folder, and says of which VM. */
export const portMarks = { owner: "vdc:host-directory", vm: "vdc:vm" } as const;

/**
 * Makes the folder's ports those that are wanted, and no others, by as few operations as that takes; what it adds to the transaction is nothing when they are.
 * A port whose bridge is not there is not added. Interfaces have what libvirt gives them, beside which OVN keeps notes of its own.
 */
export function planPorts(transaction: HostTransaction, tables: FollowedTables, desired: DesiredPorts): void {
  const { owner, wanted, left } = desired;
  const present = new Set<string>();
  for (const bridge of tables.Bridge) {
    for (const uuid of bridge.ports) {
      const port = tables.Port.get(uuid);
      if (port?.external_ids[portMarks.owner] !== owner) continue;
      const want = wanted.get(port.name);
      if (want?.bridge === bridge.name) {
        present.add(port.name);
        for (const face of port.interfaces) mendInterface(transaction, tables, { uuid: face, want });
      } else if (want !== undefined || !left.has(port.external_ids[portMarks.vm] ?? "")) {
        transaction.mutate("Bridge", bridge._uuid, [["ports", "delete", [uuid]]]);
      }
    }
  }
  for (const want of wanted.values()) {
    const bridge = tables.Bridge.find({ name: want.bridge });
    if (present.has(want.tap) || bridge === undefined) continue;
    const face = transaction.insert("Interface", { name: want.tap, external_ids: interfaceIds(want) });
    const marks = { [portMarks.owner]: owner, [portMarks.vm]: want.vmId };
    const port = transaction.insert("Port", { name: want.tap, interfaces: [face], external_ids: marks });
    transaction.mutate("Bridge", bridge._uuid, [["ports", "insert", [port]]]);
  }
}

function mendInterface(
  transaction: HostTransaction,
  tables: FollowedTables,
  { uuid, want }: { readonly uuid: FollowedRows["Interface"]["_uuid"]; readonly want: BridgePort },
): void {
  const present = tables.Interface.get(uuid)?.external_ids;
  const wrong = Object.entries(interfaceIds(want)).filter(([key, value]) => present?.[key] !== value);
  if (present === undefined || wrong.length === 0) return;
  transaction.mutate("Interface", uuid, [
    ["external_ids", "delete", wrong.map(([key]) => key)],
    ["external_ids", "insert", Object.fromEntries(wrong)],
  ]);
}

function interfaceIds({ interfaceId, mac, uuid }: BridgePort): Readonly<Record<string, string>> {
  return { "iface-id": interfaceId, "iface-status": "active", "attached-mac": mac, "vm-id": uuid };
}
