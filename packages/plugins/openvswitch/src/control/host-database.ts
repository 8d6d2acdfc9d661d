import { isDeepStrictEqual } from "node:util";
import {
  connectOvsdb,
  type MonitorViews,
  type OvsdbClient,
  type OvsdbMonitor,
  type RowsOf,
  type TlsSettings,
} from "@vdc-os/ovsdb";
import { type InterfaceRow, OpenVSwitch, type OpenVSwitchTables } from "@vdc-os/ovsdb/open-vswitch";
import type { DesiredBridge } from "./host-rows.ts";
import { marks, shortHash } from "./names.ts";

const request = {
  Open_vSwitch: ["next_cfg", "cur_cfg", "bridges"],
  Bridge: ["name", "ports", "fail_mode", "datapath_type", "other_config", "external_ids", "controller", "ipfix"],
  Port: ["name", "interfaces", "external_ids"],
  Interface: ["name", "type", "options", "ofport", "error", "link_state", "external_ids"],
  Controller: ["target"],
  IPFIX: true,
} as const;

type Rows = RowsOf<OpenVSwitchTables, typeof request>;
type Views = MonitorViews<Rows>;

/** A port of a bridge as Open vSwitch tells it. */
export interface BridgePortView {
  readonly name: string;
  readonly interfaceId: string | undefined;
  /** Undefined while Open vSwitch has not made it, or can't. */
  readonly ofport: number | undefined;
  readonly isLinkUp: boolean;
  readonly error: string | undefined;
}

/** A bridge as Open vSwitch tells it. */
export interface BridgeView {
  readonly ports: readonly BridgePortView[];
}

/**
 * One host's Open vSwitch database. What the provider has there is made to be what it should be in one transaction, and so is what it left there before.
 * The lock of the provider's name is held by the last manager that asked for it.
 */
export class HostDatabase implements AsyncDisposable {
  readonly #client: OvsdbClient<OpenVSwitchTables>;
  readonly #monitor: OvsdbMonitor<Rows>;
  readonly #provider: string;
  readonly #lock: string;

  private constructor(
    client: OvsdbClient<OpenVSwitchTables>,
    monitor: OvsdbMonitor<Rows>,
    { provider, lock }: { readonly provider: string; readonly lock: string },
  ) {
    this.#client = client;
    this.#monitor = monitor;
    this.#provider = provider;
    this.#lock = lock;
  }

  static async open(options: {
    readonly remotes: string;
    readonly provider: string;
    readonly tls?: TlsSettings;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
    /** Called whenever what the database tells is other than before, or can't be told. */
    readonly onChange: () => void;
  }): Promise<HostDatabase> {
    const { remotes, provider, tls, timeoutMs, signal, onChange } = options;
    const common = { remotes, model: OpenVSwitch, signal, timeoutMs, ...(tls === undefined ? {} : { tls }) };
    const client = await connectOvsdb(common);
    try {
      const lock = `vdc_${shortHash(12, provider)}`;
      const held = await client.lock(lock, { steal: true, timeoutMs, signal });
      await held.acquired({ timeoutMs, signal });
      const monitor = await client.monitor(request, { timeoutMs, signal });
      monitor.on("changes", onChange);
      client.on("connected", onChange);
      client.on("disconnected", onChange);
      return new HostDatabase(client, monitor, { provider, lock });
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  get isConnected(): boolean {
    return this.#client.isConnected && this.#monitor.isCurrent;
  }

  /** A bridge of this name that is the provider's. */
  bridge(name: string): BridgeView | undefined {
    const { Bridge, Port, Interface } = this.#monitor.tables;
    const row = Bridge.find({ name });
    if (row?.external_ids[marks.provider] !== this.#provider) return undefined;
    const ports = row.ports.flatMap((uuid) =>
      (Port.get(uuid)?.interfaces ?? []).flatMap((each): readonly BridgePortView[] => {
        const face = Interface.get(each);
        return face === undefined ? [] : [portView(face)];
      }),
    );
    return { ports };
  }

  /** Makes the provider's bridges these and no others. Resolves when Open vSwitch has taken the change over, at once where there is none. */
  async realize(
    bridges: readonly DesiredBridge[],
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const transaction = this.#client.transaction();
    transaction.assert(this.#lock);
    const plan = new RowPlan(transaction as unknown as LooseTransaction, this.#monitor.tables, this.#provider);
    if (plan.apply(bridges) > 0) {
      transaction.mutate("Open_vSwitch", [], [["next_cfg", "+=", 1]]);
      await this.#client.transact(transaction, { timeoutMs, signal });
    }
    // Also what an earlier manager asked for, and did not wait for.
    const asked = this.#monitor.tables.Open_vSwitch.only()?.next_cfg ?? 0;
    await this.#monitor.waitFor(({ Open_vSwitch }) => (Open_vSwitch.only()?.cur_cfg ?? 0) >= asked, {
      timeoutMs,
      signal,
      what: "Open vSwitch to take a change over",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }
}

function portView(
  face: Pick<InterfaceRow, "name" | "external_ids" | "ofport" | "link_state" | "error">,
): BridgePortView {
  const { name, external_ids, ofport, link_state, error } = face;
  return {
    name,
    interfaceId: external_ids["iface-id"],
    ofport: ofport !== undefined && ofport > 0 ? ofport : undefined,
    isLinkUp: link_state !== "down",
    error,
  };
}

/** Turns the provider's rows into others with as few operations as that takes. */
class RowPlan {
  readonly #transaction: LooseTransaction;
  readonly #tables: Views;
  readonly #provider: string;
  #operations = 0;

  constructor(transaction: LooseTransaction, tables: Views, provider: string) {
    this.#transaction = transaction;
    this.#tables = tables;
    this.#provider = provider;
  }

  /** Returns how many operations it takes. */
  apply(bridges: readonly DesiredBridge[]): number {
    const wanted = new Map(bridges.map((bridge) => [bridge.name, bridge]));
    const kept = new Map<string, string>();
    for (const row of this.#tables.Bridge) {
      if (row.external_ids[marks.provider] !== this.#provider) continue;
      if (wanted.has(row.name)) kept.set(row.name, row._uuid);
      else this.#mutate("Open_vSwitch", [], [["bridges", "delete", [row._uuid]]]);
    }
    for (const bridge of bridges) {
      const uuid = kept.get(bridge.name);
      if (uuid === undefined) this.#insert(bridge);
      else this.#update(uuid, bridge);
    }
    return this.#operations;
  }

  #insert(bridge: DesiredBridge): void {
    const row = this.#add("Bridge", {
      name: bridge.name,
      ...bridge.columns,
      ports: bridge.tunnels.map((tunnel) => this.#addTunnel(tunnel)),
      ...(bridge.listen === undefined ? {} : { controller: [this.#addController(bridge.listen)] }),
      ...(bridge.flowExport === undefined ? {} : { ipfix: this.#add("IPFIX", bridge.flowExport) }),
    });
    this.#mutate("Open_vSwitch", [], [["bridges", "insert", [row]]]);
  }

  #update(uuid: string, bridge: DesiredBridge): void {
    const row = [...this.#tables.Bridge].find(({ _uuid }) => _uuid === uuid);
    if (row === undefined) return;
    const { ports, controller, ipfix } = row;
    const changed = Object.entries(bridge.columns).filter(([name, value]) => {
      return !isDeepStrictEqual(plain((row as unknown as Readonly<Record<string, unknown>>)[name]), value);
    });
    const columns: Record<string, unknown> = Object.fromEntries(changed);
    const targets = controller.map((each) => this.#tables.Controller.get(each)?.target);
    if (!isDeepStrictEqual(targets, bridge.listen === undefined ? [] : [bridge.listen])) {
      columns.controller = bridge.listen === undefined ? [] : [this.#addController(bridge.listen)];
    }
    this.#updateFlowExport(ipfix, bridge, columns);
    if (Object.keys(columns).length > 0) {
      this.#operations += 1;
      this.#transaction.update("Bridge", uuid, columns);
    }
    const names = new Map(bridge.tunnels.map((tunnel) => [tunnel.name, tunnel]));
    for (const each of ports) {
      const port = this.#tables.Port.get(each);
      if (port?.external_ids[marks.provider] !== this.#provider) continue;
      const tunnel = names.get(port.name);
      names.delete(port.name);
      if (tunnel === undefined) {
        this.#mutate("Bridge", uuid, [["ports", "delete", [each]]]);
        continue;
      }
      const [face] = port.interfaces;
      const options = face === undefined ? undefined : this.#tables.Interface.get(face)?.options;
      if (face === undefined || isDeepStrictEqual(plain(options), tunnel.options)) continue;
      this.#operations += 1;
      this.#transaction.update("Interface", face, { options: tunnel.options });
    }
    const missing = [...names.values()].map((tunnel) => this.#addTunnel(tunnel));
    if (missing.length > 0) this.#mutate("Bridge", uuid, [["ports", "insert", missing]]);
  }

  #updateFlowExport(ipfix: string | undefined, { flowExport }: DesiredBridge, columns: Record<string, unknown>): void {
    if (flowExport === undefined) {
      if (ipfix !== undefined) columns.ipfix = undefined;
      return;
    }
    const row = [...this.#tables.IPFIX].find(({ _uuid }) => _uuid === ipfix) as
      | Readonly<Record<string, unknown>>
      | undefined;
    const isSame = Object.entries(flowExport).every(([name, value]) => isDeepStrictEqual(plain(row?.[name]), value));
    if (!isSame) columns.ipfix = this.#add("IPFIX", flowExport);
  }

  #addTunnel({ name, options }: DesiredBridge["tunnels"][number]): unknown {
    const face = this.#add("Interface", { name, type: "vxlan", options });
    return this.#add("Port", { name, interfaces: [face], external_ids: { [marks.provider]: this.#provider } });
  }

  #addController(target: string): unknown {
    return this.#add("Controller", { target, connection_mode: "out-of-band" });
  }

  #add(table: string, columns: object): unknown {
    this.#operations += 1;
    return this.#transaction.insert(table, columns);
  }

  #mutate(table: string, where: unknown, mutations: readonly unknown[]): void {
    this.#operations += 1;
    this.#transaction.mutate(table, where, mutations);
  }
}

/** The client's transaction without its types by table: rows here are of several tables at once. */
interface LooseTransaction {
  insert(table: string, columns: object): unknown;
  update(table: string, where: unknown, columns: object): unknown;
  mutate(table: string, where: unknown, mutations: readonly unknown[]): unknown;
}

/** Columns of a map have no prototype in the client's rows. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return [...value];
  return typeof value === "object" && value !== null ? { ...value } : value;
}
