import { z } from "zod";
import {
  type FencingStrength,
  fencingStrength,
  type Generation,
  generation,
  identifier,
  type OwnerStamp,
  ownerStamp,
} from "../../contract/ownership.ts";
import { type JsonObject, jsonObject } from "../../schema/json.ts";
import { type Counter64, counter64 } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { macAddress, type PortSetting, portSetting } from "./port-setting.ts";

/** Input of `connectPort`. */
export interface ConnectPort {
  readonly switchId: string;
  readonly portGroup: string;
  /** The caller's key of the port, unique on the switch: the same key, host and generation again returns the same binding. */
  readonly portKey: string;
  readonly host: string;
  /** The NIC's address. */
  readonly mac: string;
  /**
   * The VM's IP addresses, where they are known: for DHCP and for the addresses that a port may send from. What is no IP address fails with
   * `INVALID_ARGUMENT`.
   */
  readonly addresses?: readonly string[];
  readonly generation: Generation;
  readonly owner?: OwnerStamp;
  /** The effective setting, when it differs from the port group's. */
  readonly setting?: PortSetting;
  /** `open` by default. `hold` until a migration activates it. */
  readonly gate?: PortGate;
  /** The vendor's own data; travels with the port. */
  readonly opaque?: JsonObject;
}

/** How a VM's NIC is joined to a port on its host. */
export type PortAttachment =
  | {
      /** QEMU's `-netdev stream` on a Unix socket: the VM monitor listens, the switch dials and dials again. */
      readonly kind: "qemu-stream";
      readonly path: string;
    }
  | { readonly kind: "tap"; readonly interfaceName: string }
  | {
      /** A port of a bridge of the host's Open vSwitch. Whoever runs the VM adds its NIC there, with `external_ids:iface-id` set to `interfaceId`. */
      readonly kind: "ovs";
      readonly bridge: string;
      readonly interfaceId: string;
      /** The largest packet that the switch carries, in bytes, for the NIC to be given. Defaults to 1500. */
      readonly mtu?: number;
    };

/** A connected port. */
export interface PortBinding {
  readonly switchId: string;
  readonly portKey: string;
  readonly host: string;
  readonly generation: Generation;
  readonly attachment: PortAttachment;
  readonly fencing: FencingStrength;
}

/** What a port lets through from its VM: everything, nothing yet (`hold`: kept in order, within a bound), or nothing. */
export type PortGate = "open" | "hold" | "drop";

/**
 * A host's part of the switch, in vSphere's six words: `up`, what is asked for is in force; `pending`, it is about to be; `outOfSync`, it was refused there;
 * `warning`, it is in force, and something else is wrong, such as no way to another member; `disconnected`, the host can't be reached; `down`, what runs
 * there does not.
 */
export type MemberState = "up" | "pending" | "outOfSync" | "warning" | "disconnected" | "down";

/** A member as it is. */
export interface MemberStatus {
  readonly host: string;
  readonly state: MemberState;
  /** The generation of the spec that is in force there. */
  readonly realizedGeneration: number;
  readonly detail: string;
}

/** A port as it is. */
export interface PortStatus {
  readonly portKey: string;
  readonly portGroup: string;
  readonly host: string;
  readonly generation: Generation;
  /** Whether frames can pass to the VM's NIC now. */
  readonly link: "up" | "down";
  readonly gate: PortGate;
  /** What is wrong, if anything. */
  readonly problem?: string;
  readonly learnedMacs: readonly string[];
  /** The vendor's own data of the port, as it was given. */
  readonly opaque?: JsonObject;
}

/** The switch as it is. What was asked is in force when every member that is `up` has realised its generation, and no port has a problem. */
export interface SwitchStatus {
  readonly switchId: string;
  readonly desiredGeneration: number;
  readonly members: readonly MemberStatus[];
  readonly ports: readonly PortStatus[];
}

/**
 * A port's counters. They never go back, also across a migration, and they add up: `framesIn` is `framesForwarded`, `framesHeld` and all of `dropsIn`
 * together.
 */
export interface PortStatistics {
  readonly portKey: string;
  /** From the VM. */
  readonly framesIn: Counter64;
  readonly bytesIn: Counter64;
  /** Frames from the VM that left the switch somewhere. */
  readonly framesForwarded: Counter64;
  /** Frames from the VM that the gate holds now. */
  readonly framesHeld: Counter64;
  /** Frames from the VM that went nowhere, by reason: `blocked`, `vlanNotAllowed`, `forgedTransmit`, `gateDrop`, `filtered`, `shaped`, ... */
  readonly dropsIn: Readonly<Record<string, Counter64>>;
  /** To the VM. */
  readonly framesOut: Counter64;
  readonly bytesOut: Counter64;
  /** Frames that were for the VM and did not leave: `queueFull`, `linkDown`, `shaped`, ... Not part of `framesOut`. */
  readonly dropsOut: Readonly<Record<string, Counter64>>;
}

/** What moves with a port. */
export interface PortState {
  readonly portKey: string;
  readonly setting: PortSetting;
  readonly statistics: PortStatistics;
  readonly learnedMacs: readonly string[];
  /** The mirror sessions that the port is a source of. */
  readonly mirrorSessions: readonly string[];
  /** The provider's own: multicast memberships, token buckets, sampling, and the vendor's data of the port. */
  readonly opaque: JsonObject;
}

/** Schema of {@link PortGate}. */
export const portGate: z.ZodType<PortGate> = z.enum(["open", "hold", "drop"]);

/** Schema of {@link ConnectPort}. */
export const connectPort: z.ZodType<ConnectPort> = schemaOf<ConnectPort>()(
  z.object({
    switchId: identifier,
    portGroup: identifier,
    portKey: identifier,
    host: z.string(),
    mac: macAddress,
    addresses: z.array(z.string()).exactOptional(),
    generation,
    owner: ownerStamp.exactOptional(),
    setting: portSetting.exactOptional(),
    gate: portGate.exactOptional(),
    opaque: jsonObject.exactOptional(),
  }),
);

/** Schema of {@link PortAttachment}. */
export const portAttachment: z.ZodType<PortAttachment> = schemaOf<PortAttachment>()(
  z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("qemu-stream"), path: z.string() }),
    z.object({ kind: z.literal("tap"), interfaceName: z.string() }),
    z.object({
      kind: z.literal("ovs"),
      bridge: z.string(),
      interfaceId: z.string(),
      mtu: z.int().min(68).max(65535).exactOptional(),
    }),
  ]),
);

/** Schema of {@link PortBinding}. */
export const portBinding: z.ZodType<PortBinding> = schemaOf<PortBinding>()(
  z.object({
    switchId: identifier,
    portKey: identifier,
    host: z.string(),
    generation,
    attachment: portAttachment,
    fencing: fencingStrength,
  }),
);

/** Schema of {@link SwitchStatus}. */
export const switchStatus: z.ZodType<SwitchStatus> = schemaOf<SwitchStatus>()(
  z.object({
    switchId: identifier,
    desiredGeneration: z.int(),
    members: z.array(
      z.object({
        host: z.string(),
        state: z.enum(["up", "pending", "outOfSync", "warning", "disconnected", "down"]),
        realizedGeneration: z.int(),
        detail: z.string(),
      }),
    ),
    ports: z.array(
      z.object({
        portKey: identifier,
        portGroup: identifier,
        host: z.string(),
        generation,
        link: z.enum(["up", "down"]),
        gate: portGate,
        problem: z.string().exactOptional(),
        learnedMacs: z.array(z.string()),
        opaque: jsonObject.exactOptional(),
      }),
    ),
  }),
);

/** Schema of {@link PortStatistics}. */
export const portStatistics: z.ZodType<PortStatistics> = schemaOf<PortStatistics>()(
  z.object({
    portKey: identifier,
    framesIn: counter64,
    bytesIn: counter64,
    framesForwarded: counter64,
    framesHeld: counter64,
    dropsIn: z.record(z.string(), counter64),
    framesOut: counter64,
    bytesOut: counter64,
    dropsOut: z.record(z.string(), counter64),
  }),
);

/** Schema of {@link PortState}. */
export const portState: z.ZodType<PortState> = schemaOf<PortState>()(
  z.object({
    portKey: identifier,
    setting: portSetting,
    statistics: portStatistics,
    learnedMacs: z.array(z.string()),
    mirrorSessions: z.array(z.string()),
    opaque: jsonObject,
  }),
);
