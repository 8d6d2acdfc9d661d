// Messages that more than one of the services use. Field numbers are those of the CSI specification, version 1.
import { flag, integer, list, type Message, message, nested, text, textMap, texts } from "../grpc/message.ts";

/** `google.protobuf.Timestamp`. */
export interface WireTimestamp {
  readonly seconds: number;
  readonly nanos: number;
}

export const wireTimestamp: Message<WireTimestamp> = message("Timestamp", { seconds: integer(1), nanos: integer(2) });

/** `google.protobuf.BoolValue`. */
export const boolValue: Message<{ readonly value: boolean }> = message("BoolValue", { value: flag(1) });

/** `google.protobuf.Int64Value`. */
export const int64Value: Message<{ readonly value: number }> = message("Int64Value", { value: integer(1) });

/** A message without fields. */
export type Empty = Readonly<Record<never, never>>;

export const empty: Message<Empty> = message<Empty>("Empty", {});

/** Strings by string: parameters, contexts, secrets. */
export type TextMap = Readonly<Record<string, string>>;

export interface CapacityRange {
  readonly requiredBytes: number;
  /** 0 is no limit. */
  readonly limitBytes: number;
}

export const capacityRange: Message<CapacityRange> = message("CapacityRange", {
  requiredBytes: integer(1),
  limitBytes: integer(2),
});

/** Access modes, by their numbers on the wire. */
export const accessModes: {
  readonly singleNodeWriter: 1;
  readonly singleNodeReaderOnly: 2;
  readonly multiNodeReaderOnly: 3;
} = { singleNodeWriter: 1, singleNodeReaderOnly: 2, multiNodeReaderOnly: 3 };

export interface MountVolume {
  readonly fsType: string;
  readonly mountFlags: readonly string[];
  readonly volumeMountGroup: string;
}

const mountVolume: Message<MountVolume> = message("MountVolume", {
  fsType: text(1),
  mountFlags: texts(2),
  volumeMountGroup: text(3),
});

export interface AccessMode {
  readonly mode: number;
}

const accessMode: Message<AccessMode> = message("AccessMode", { mode: integer(1) });

/** One of `block` and `mount` is set. */
export interface VolumeCapability {
  readonly block: Empty | undefined;
  readonly mount: MountVolume | undefined;
  readonly accessMode: AccessMode | undefined;
}

export const volumeCapability: Message<VolumeCapability> = message("VolumeCapability", {
  block: nested(1, () => empty),
  mount: nested(2, () => mountVolume),
  accessMode: nested(3, () => accessMode),
});

export interface Topology {
  readonly segments: TextMap;
}

export const topology: Message<Topology> = message("Topology", { segments: textMap(1) });

export interface TopologyRequirement {
  readonly requisite: readonly Topology[];
  readonly preferred: readonly Topology[];
}

export const topologyRequirement: Message<TopologyRequirement> = message("TopologyRequirement", {
  requisite: list(1, () => topology),
  preferred: list(2, () => topology),
});

/** One of both is set. */
export interface ContentSource {
  readonly snapshot: { readonly snapshotId: string } | undefined;
  readonly volume: { readonly volumeId: string } | undefined;
}

const snapshotSource: Message<{ readonly snapshotId: string }> = message("SnapshotSource", { snapshotId: text(1) });
const volumeSource: Message<{ readonly volumeId: string }> = message("VolumeSource", { volumeId: text(1) });

export const contentSource: Message<ContentSource> = message("VolumeContentSource", {
  snapshot: nested(1, () => snapshotSource),
  volume: nested(2, () => volumeSource),
});

export interface CsiVolume {
  /** 0 is unknown. */
  readonly capacityBytes: number;
  readonly volumeId: string;
  readonly volumeContext: TextMap;
  readonly contentSource: ContentSource | undefined;
  readonly accessibleTopology: readonly Topology[];
}

export const csiVolume: Message<CsiVolume> = message("Volume", {
  capacityBytes: integer(1),
  volumeId: text(2),
  volumeContext: textMap(3),
  contentSource: nested(4, () => contentSource),
  accessibleTopology: list(5, () => topology),
});

export interface CsiSnapshot {
  readonly sizeBytes: number;
  readonly snapshotId: string;
  readonly sourceVolumeId: string;
  readonly creationTime: WireTimestamp | undefined;
  readonly readyToUse: boolean;
}

export const csiSnapshot: Message<CsiSnapshot> = message("Snapshot", {
  sizeBytes: integer(1),
  snapshotId: text(2),
  sourceVolumeId: text(3),
  creationTime: nested(4, () => wireTimestamp),
  readyToUse: flag(5),
});

export interface VolumeCondition {
  readonly abnormal: boolean;
  readonly message: string;
}

export const volumeCondition: Message<VolumeCondition> = message("VolumeCondition", {
  abnormal: flag(1),
  message: text(2),
});
