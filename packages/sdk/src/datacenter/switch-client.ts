import type {
  CapturedFrame,
  ConfigArchive,
  FrameExplanation,
  HealthCheckKind,
  HealthFinding,
  LoadBalancerStatus,
  Neighbour,
  PortSetting,
  PortStatistics,
  PortStatus,
  SwitchStatus,
  UplinkState,
  VlanSetting,
} from "@vdc-os/core/network/v1";
import type { PortRates } from "../decisions/port-rates.ts";
import type { SwitchPortName } from "../kinds/switch-port-name.ts";
import type { SwitchInput, SwitchKindSpec, SwitchKindStatus, SwitchTrial } from "../kinds/switch-spec.ts";
import type { Resource } from "../resource/resource.ts";
import type { Accepted } from "../store/resource-store-options.ts";
import type { KindClient, ObjectName } from "./kind-client.ts";

/** A connected port, and whose it is. */
export interface SwitchPort extends PortStatus {
  /** The VM and its NIC; absent for a port that is not a VM's of this datacenter. */
  readonly vm?: string;
  readonly nic?: string;
  readonly mac?: string;
  /** What the datacenter asked for; `effectiveSetting` reads back what is in force. */
  readonly vlan?: VlanSetting;
}

/** A switch as it is now. */
export interface SwitchView extends Omit<SwitchStatus, "ports"> {
  readonly ports: readonly SwitchPort[];
}

/** A switch's configuration, to keep: of the switch as it was asked for, whatever its ports have become. */
export interface SwitchArchive {
  readonly format: "vdc.switch.config/1";
  readonly name: string;
  readonly spec: SwitchKindSpec;
  /** What the provider had in force, where it can tell. It is kept for people: `importConfig` makes the provider's part anew. */
  readonly provider?: ConfigArchive;
}

/** What every call may say. */
interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The distributed switches of a datacenter, and what their providers can tell of them. Calls of a facet that a provider has not fail with `UNIMPLEMENTED` and its
 * reason; a port or switch that is not there, with `NOT_FOUND`.
 */
export interface SwitchClient extends KindClient<SwitchKindSpec, SwitchKindStatus, SwitchInput> {
  /** Members and ports, as the provider tells now. */
  view(name: ObjectName, options?: CallOptions): Promise<SwitchView>;
  /** The key of a port at the provider. */
  portKey(name: ObjectName, port: SwitchPortName, options?: CallOptions): Promise<string>;
  /** Counters of all ports, or of those named. */
  portStatistics(
    name: ObjectName,
    options?: CallOptions & { readonly ports?: readonly SwitchPortName[] },
  ): Promise<readonly PortStatistics[]>;
  /** How much passes each port, looked at for `intervalMs` (1000 by default). */
  portRates(
    name: ObjectName,
    options?: CallOptions & { readonly intervalMs?: number; readonly ports?: readonly SwitchPortName[] },
  ): Promise<readonly PortRates[]>;
  /** The setting that the data path applies to a port. */
  effectiveSetting(name: ObjectName, port: SwitchPortName, options?: CallOptions): Promise<PortSetting>;
  /** The frames of a port as they pass, until `maxFrames` (no bound by default), an abort, or the port's end. `snapLength` defaults to 65,535 bytes. */
  capture(
    name: ObjectName,
    port: SwitchPortName,
    options?: CallOptions & { readonly snapLength?: number; readonly maxFrames?: number },
  ): AsyncIterable<CapturedFrame>;
  /** What would become of a frame that the port's VM sent, and why. Nothing is sent. */
  explain(name: ObjectName, port: SwitchPortName, frame: Uint8Array, options?: CallOptions): Promise<FrameExplanation>;
  /** Checks the paths between members with real frames; all checks by default. */
  healthCheck(
    name: ObjectName,
    options?: CallOptions & { readonly checks?: readonly HealthCheckKind[] },
  ): Promise<readonly HealthFinding[]>;
  /** Who is heard on the uplinks. */
  neighbours(name: ObjectName, options?: CallOptions): Promise<readonly Neighbour[]>;
  uplinkStates(name: ObjectName, options?: CallOptions): Promise<readonly UplinkState[]>;
  loadBalancers(name: ObjectName, options?: CallOptions): Promise<readonly LoadBalancerStatus[]>;
  exportConfig(name: ObjectName, options?: CallOptions): Promise<SwitchArchive>;
  /**
   * Makes a switch of an archive: under the name it had, or `as` another. One that is there fails with `ALREADY_EXISTS`, unless `overwrite` is said: then it is
   * changed to what the archive has.
   */
  importConfig(
    archive: SwitchArchive,
    options?: CallOptions & { readonly as?: ObjectName; readonly overwrite?: boolean },
  ): Promise<Accepted<SwitchKindSpec, SwitchKindStatus>>;
  /**
   * Puts a spec in force for a while, and takes it back by itself unless `confirmTrial` comes in time, also when the manager ends meanwhile: for changes that may
   * cut off whoever makes them. The object's spec stays what it was until then. A change of the spec meanwhile ends the trial. Needs the facet `configArchive`.
   */
  applyOnTrial(
    name: ObjectName,
    spec: SwitchInput | ((object: Resource<SwitchKindSpec, SwitchKindStatus>) => SwitchInput),
    options: CallOptions & { readonly confirmWithinMs: number },
  ): Promise<SwitchTrial>;
  /** Keeps what is on trial: it becomes the object's spec. Fails with `ABORTED` when it was taken back already, and with `FAILED_PRECONDITION` without a trial. */
  confirmTrial(name: ObjectName, options?: CallOptions): Promise<Resource<SwitchKindSpec, SwitchKindStatus>>;
  /** Takes back what is on trial, at once. */
  rollbackTrial(name: ObjectName, options?: CallOptions): Promise<Resource<SwitchKindSpec, SwitchKindStatus>>;
}
