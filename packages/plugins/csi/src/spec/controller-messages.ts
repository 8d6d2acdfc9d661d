// Messages of service Controller, but for snapshots. Field numbers are those of the CSI specification, version 1.
import { flag, integer, list, type Message, message, nested, text, textMap, texts } from "../grpc/message.ts";
import {
  type CapacityRange,
  type ContentSource,
  type CsiVolume,
  capacityRange,
  contentSource,
  csiVolume,
  int64Value,
  type TextMap,
  type Topology,
  type TopologyRequirement,
  topology,
  topologyRequirement,
  type VolumeCapability,
  type VolumeCondition,
  volumeCapability,
  volumeCondition,
} from "./volume-messages.ts";

export interface CreateVolumeRequest {
  readonly name: string;
  readonly capacityRange: CapacityRange | undefined;
  readonly volumeCapabilities: readonly VolumeCapability[];
  readonly parameters: TextMap;
  readonly secrets: TextMap;
  readonly contentSource: ContentSource | undefined;
  readonly accessibilityRequirements: TopologyRequirement | undefined;
  readonly mutableParameters: TextMap;
}

export const createVolumeRequest: Message<CreateVolumeRequest> = message("CreateVolumeRequest", {
  name: text(1),
  capacityRange: nested(2, () => capacityRange),
  volumeCapabilities: list(3, () => volumeCapability),
  parameters: textMap(4),
  secrets: textMap(5),
  contentSource: nested(6, () => contentSource),
  accessibilityRequirements: nested(7, () => topologyRequirement),
  mutableParameters: textMap(8),
});

export interface VolumeResponse {
  readonly volume: CsiVolume | undefined;
}

export const volumeResponse: Message<VolumeResponse> = message("CreateVolumeResponse", {
  volume: nested(1, () => csiVolume),
});

export interface DeleteVolumeRequest {
  readonly volumeId: string;
  readonly secrets: TextMap;
}

export const deleteVolumeRequest: Message<DeleteVolumeRequest> = message("DeleteVolumeRequest", {
  volumeId: text(1),
  secrets: textMap(2),
});

export interface ControllerPublishRequest {
  readonly volumeId: string;
  readonly nodeId: string;
  readonly volumeCapability: VolumeCapability | undefined;
  readonly readonly: boolean;
  readonly secrets: TextMap;
  readonly volumeContext: TextMap;
}

export const controllerPublishRequest: Message<ControllerPublishRequest> = message("ControllerPublishVolumeRequest", {
  volumeId: text(1),
  nodeId: text(2),
  volumeCapability: nested(3, () => volumeCapability),
  readonly: flag(4),
  secrets: textMap(5),
  volumeContext: textMap(6),
});

export interface ControllerPublishResponse {
  readonly publishContext: TextMap;
}

export const controllerPublishResponse: Message<ControllerPublishResponse> = message(
  "ControllerPublishVolumeResponse",
  { publishContext: textMap(1) },
);

export interface ControllerUnpublishRequest {
  readonly volumeId: string;
  readonly nodeId: string;
  readonly secrets: TextMap;
}

export const controllerUnpublishRequest: Message<ControllerUnpublishRequest> = message(
  "ControllerUnpublishVolumeRequest",
  { volumeId: text(1), nodeId: text(2), secrets: textMap(3) },
);

export interface ValidateCapabilitiesRequest {
  readonly volumeId: string;
  readonly volumeContext: TextMap;
  readonly volumeCapabilities: readonly VolumeCapability[];
  readonly parameters: TextMap;
  readonly secrets: TextMap;
}

export const validateCapabilitiesRequest: Message<ValidateCapabilitiesRequest> = message(
  "ValidateVolumeCapabilitiesRequest",
  {
    volumeId: text(1),
    volumeContext: textMap(2),
    volumeCapabilities: list(3, () => volumeCapability),
    parameters: textMap(4),
    secrets: textMap(5),
  },
);

export interface ConfirmedCapabilities {
  readonly volumeContext: TextMap;
  readonly volumeCapabilities: readonly VolumeCapability[];
  readonly parameters: TextMap;
}

const confirmedCapabilities: Message<ConfirmedCapabilities> = message("Confirmed", {
  volumeContext: textMap(1),
  volumeCapabilities: list(2, () => volumeCapability),
  parameters: textMap(3),
});

export interface ValidateCapabilitiesResponse {
  readonly confirmed: ConfirmedCapabilities | undefined;
  readonly message: string;
}

export const validateCapabilitiesResponse: Message<ValidateCapabilitiesResponse> = message(
  "ValidateVolumeCapabilitiesResponse",
  { confirmed: nested(1, () => confirmedCapabilities), message: text(2) },
);

export interface ListVolumesRequest {
  /** 0 is no limit. */
  readonly maxEntries: number;
  readonly startingToken: string;
}

export const listVolumesRequest: Message<ListVolumesRequest> = message("ListVolumesRequest", {
  maxEntries: integer(1),
  startingToken: text(2),
});

export interface CsiVolumeStatus {
  readonly publishedNodeIds: readonly string[];
  readonly volumeCondition: VolumeCondition | undefined;
}

const csiVolumeStatus: Message<CsiVolumeStatus> = message("VolumeStatus", {
  publishedNodeIds: texts(1),
  volumeCondition: nested(2, () => volumeCondition),
});

/** An entry of a list, and what `ControllerGetVolume` answers. */
export interface VolumeEntry {
  readonly volume: CsiVolume | undefined;
  readonly status: CsiVolumeStatus | undefined;
}

export const volumeEntry: Message<VolumeEntry> = message("Entry", {
  volume: nested(1, () => csiVolume),
  status: nested(2, () => csiVolumeStatus),
});

export interface ListVolumesResponse {
  readonly entries: readonly VolumeEntry[];
  readonly nextToken: string;
}

export const listVolumesResponse: Message<ListVolumesResponse> = message("ListVolumesResponse", {
  entries: list(1, () => volumeEntry),
  nextToken: text(2),
});

export interface VolumeIdRequest {
  readonly volumeId: string;
}

export const volumeIdRequest: Message<VolumeIdRequest> = message("ControllerGetVolumeRequest", { volumeId: text(1) });

export interface GetCapacityRequest {
  readonly volumeCapabilities: readonly VolumeCapability[];
  readonly parameters: TextMap;
  readonly accessibleTopology: Topology | undefined;
}

export const getCapacityRequest: Message<GetCapacityRequest> = message("GetCapacityRequest", {
  volumeCapabilities: list(1, () => volumeCapability),
  parameters: textMap(2),
  accessibleTopology: nested(3, () => topology),
});

export interface GetCapacityResponse {
  readonly availableCapacity: number;
  readonly maximumVolumeSize: { readonly value: number } | undefined;
  readonly minimumVolumeSize: { readonly value: number } | undefined;
}

export const getCapacityResponse: Message<GetCapacityResponse> = message("GetCapacityResponse", {
  availableCapacity: integer(1),
  maximumVolumeSize: nested(2, () => int64Value),
  minimumVolumeSize: nested(3, () => int64Value),
});

export interface ControllerExpandRequest {
  readonly volumeId: string;
  readonly capacityRange: CapacityRange | undefined;
  readonly secrets: TextMap;
  readonly volumeCapability: VolumeCapability | undefined;
}

export const controllerExpandRequest: Message<ControllerExpandRequest> = message("ControllerExpandVolumeRequest", {
  volumeId: text(1),
  capacityRange: nested(2, () => capacityRange),
  secrets: textMap(3),
  volumeCapability: nested(4, () => volumeCapability),
});

export interface ControllerExpandResponse {
  readonly capacityBytes: number;
  readonly nodeExpansionRequired: boolean;
}

export const controllerExpandResponse: Message<ControllerExpandResponse> = message("ControllerExpandVolumeResponse", {
  capacityBytes: integer(1),
  nodeExpansionRequired: flag(2),
});
