import type { ConnectPort, PortBinding, PortStatistics } from "../port.ts";
import type { PortSetting } from "../port-setting.ts";
import type { SwitchSpec } from "../switch-spec.ts";
import { portNotFound, switchNotFound } from "./port-decisions.ts";
import type { KeptSwitch, MovablePortRecord, PortRecord } from "./port-record.ts";

/** What a provider keeps of a port besides, that is the port's and not its owner's. */
export type OwnOfPort<P extends MovablePortRecord> = Omit<P, keyof MovablePortRecord> & Pick<P, "carried">;

/** A provider whose ports are records, for {@link PortOwners} and {@link portMigrationFacet}: where they are kept, and how hosts take them over. */
export interface PortKeeper<P extends MovablePortRecord> {
  /** Within `decide`, as every earlier change leaves them. */
  readonly switches: () => ReadonlyMap<string, KeptSwitch<P>>;
  /** Decides on a change of one switch's ports, and makes it durable. `decide` must not wait. */
  change<T>(decide: () => { readonly ports: readonly P[]; readonly result: T }): Promise<T>;
  /** Says no to what the provider can't do. */
  admit(input: ConnectPort): void;
  own(switchId: string, before: P | undefined): OwnOfPort<P>;
  bindingOf(port: P): PortBinding;
  /** Resolves when a host can take a port; rejects with `UNAVAILABLE`. */
  reached(host: string): Promise<void>;
  /** Resolves when these hosts have the switch as it is now. */
  settled(switchId: string, hosts: readonly string[]): Promise<void>;
  /** Resolves when the owner that a port had is cut off: for the next one, or for good. */
  cutOff(port: P, until: "replaced" | "revoked"): Promise<void>;
  /** What ports of a switch have counted until now, by port key; those that can't be told are left out. */
  counted(switchId: string, ports: readonly P[]): Promise<ReadonlyMap<string, P["carried"]>>;
  /** What a port takes along: what it has counted, and what the host of the next attachment has counted for that before. */
  carriedTo(port: P, next: P): Promise<Pick<P, "carried" | "base">>;
  statistics(switchId: string, portKey: string): Promise<PortStatistics | undefined>;
}

/** What holds for a port: its own setting, or its port group's; undefined where that has gone. */
export function settingOf({ portGroups }: SwitchSpec, port: PortRecord): PortSetting | undefined {
  return port.setting ?? portGroups.find(({ key }) => key === port.portGroup)?.setting;
}

/** A switch that is kept. Throws `NOT_FOUND`. */
export function keptSwitch<K extends KeptSwitch<PortRecord>>(switches: ReadonlyMap<string, K>, switchId: string): K {
  const kept = switches.get(switchId);
  if (kept === undefined) throw switchNotFound(switchId);
  return kept;
}

/** A port that is kept, connected or not. Throws `NOT_FOUND`, for its switch as well. */
export function keptPort<P extends PortRecord>(
  switches: ReadonlyMap<string, KeptSwitch<P>>,
  switchId: string,
  portKey: string,
): P {
  const port = keptSwitch(switches, switchId).ports.get(portKey);
  if (port === undefined) throw portNotFound(switchId, portKey);
  return port;
}

/** The ports whose counters are told: of these keys or of all, those that are connected or whose group binds its ports for good. */
export function countedPorts<P extends PortRecord>(
  { record: { spec }, ports }: KeptSwitch<P>,
  portKeys?: readonly string[],
): readonly P[] {
  const isStatic = new Set(spec.portGroups.filter(({ binding }) => binding === "static").map(({ key }) => key));
  const asked = portKeys === undefined ? undefined : new Set(portKeys);
  return [...ports.values()].filter(
    (port) => (asked?.has(port.portKey) ?? true) && (port.connected || isStatic.has(port.portGroup)),
  );
}
