import { connectOvsdb, type OvsdbClient, type TlsSettings } from "@vdc-os/ovsdb";
import { OvnNorthbound, type OvnNorthboundTables } from "@vdc-os/ovsdb/ovn-northbound";
import { OvnSouthbound, type OvnSouthboundTables } from "@vdc-os/ovsdb/ovn-southbound";
import { type LogicalFlowView, portsOf, verifiedStages, viewOf } from "../flows/logical-flows.ts";
import type { OvnConfig } from "../ovn-config.ts";
import type { NorthboundTables } from "./northbound-state.ts";
import type { BindingView, ChassisView } from "./ovn-view.ts";

/** OVN's two databases, followed. */
export interface OvnConnections {
  readonly northbound: OvsdbClient<OvnNorthboundTables>;
  readonly tables: NorthboundTables;
  readonly chassis: (name: string) => ChassisView | undefined;
  readonly binding: (port: string) => BindingView | undefined;
  /** Those for a logical port that are verified. */
  readonly logicalFlows: (port: string) => readonly LogicalFlowView[];
  onChange(listener: () => void): void;
  close(): Promise<void>;
}

/** Connects, and takes the lock from whoever has it. */
export async function connectOvn(config: OvnConfig, lockName: string, tls?: TlsSettings): Promise<OvnConnections> {
  const common = tls === undefined ? {} : { tls };
  const northbound = await connectOvsdb({ remotes: config.northbound, model: OvnNorthbound, ...common });
  try {
    const southbound = await connectOvsdb({ remotes: config.southbound, model: OvnSouthbound, ...common });
    try {
      return await follow(northbound, southbound, lockName);
    } catch (error) {
      await southbound.close();
      throw error;
    }
  } catch (error) {
    await northbound.close();
    throw error;
  }
}

async function follow(
  northbound: OvsdbClient<OvnNorthboundTables>,
  southbound: OvsdbClient<OvnSouthboundTables>,
  lockName: string,
): Promise<OvnConnections> {
  const lock = await northbound.lock(lockName, { steal: true });
  await lock.acquired({ timeoutMs: 10_000 });
  const north = await northbound.monitor({
    Logical_Switch: true,
    Logical_Switch_Port: true,
    ACL: true,
    QoS: true,
    DHCP_Options: true,
    Load_Balancer: true,
    Logical_Router: ["name", "ports", "external_ids"],
    Logical_Router_Port: ["name", "mac", "networks", "external_ids"],
  });
  const south = await southbound.monitor({
    Chassis: ["name"],
    Chassis_Private: ["name", "nb_cfg"],
    Port_Binding: ["logical_port", "chassis", "up"],
    Logical_Flow: {
      columns: ["match", "external_ids"],
      where: verifiedStages.map((stage) => ["external_ids", "includes", { "stage-name": stage }] as const),
    },
  });
  const chassisByName = south.tables.Chassis_Private.indexBy((row) => row.name);
  const bindings = south.tables.Port_Binding.indexBy((row) => row.logical_port);
  const logicalFlows = south.tables.Logical_Flow.indexBy(portsOf);
  return {
    northbound,
    // Rows of several tables are handled alike: their types by table are not needed beyond here.
    tables: north.tables as unknown as NorthboundTables,
    chassis: (name) => {
      const row = chassisByName.one(name);
      return row === undefined ? undefined : { acknowledged: row.nb_cfg };
    },
    binding: (port) => {
      const row = bindings.one(port);
      if (row === undefined) return undefined;
      const chassis = row.chassis === undefined ? undefined : south.tables.Chassis.get(row.chassis)?.name;
      return { chassis, up: row.up === true };
    },
    logicalFlows: (port) => logicalFlows.get(port).map(viewOf),
    onChange: (listener) => {
      north.on("changes", listener);
      south.on("changes", listener);
    },
    close: async () => {
      await northbound.close();
      await southbound.close();
    },
  };
}
