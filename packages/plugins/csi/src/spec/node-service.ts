// Service Node of the CSI specification, version 1, and its messages.
import { flag, integer, list, type Message, message, nested, text, textMap } from "../grpc/message.ts";
import { type Method, method } from "../grpc/method.ts";
import { type RpcCapabilities, rpcCapabilities } from "./identity-service.ts";
import {
  type CapacityRange,
  capacityRange,
  type Empty,
  empty,
  type TextMap,
  type Topology,
  topology,
  type VolumeCapability,
  type VolumeCondition,
  volumeCapability,
  volumeCondition,
} from "./volume-messages.ts";

/** What a node can, by its number on the wire. */
export const nodeRpcs: {
  readonly stageUnstageVolume: 1;
  readonly getVolumeStats: 2;
  readonly expandVolume: 3;
  readonly volumeCondition: 4;
} = { stageUnstageVolume: 1, getVolumeStats: 2, expandVolume: 3, volumeCondition: 4 };

export interface NodeStageRequest {
  readonly volumeId: string;
  readonly publishContext: TextMap;
  readonly stagingTargetPath: string;
  readonly volumeCapability: VolumeCapability | undefined;
  readonly secrets: TextMap;
  readonly volumeContext: TextMap;
}

const nodeStageRequest: Message<NodeStageRequest> = message("NodeStageVolumeRequest", {
  volumeId: text(1),
  publishContext: textMap(2),
  stagingTargetPath: text(3),
  volumeCapability: nested(4, () => volumeCapability),
  secrets: textMap(5),
  volumeContext: textMap(6),
});

export interface NodeUnstageRequest {
  readonly volumeId: string;
  readonly stagingTargetPath: string;
}

const nodeUnstageRequest: Message<NodeUnstageRequest> = message("NodeUnstageVolumeRequest", {
  volumeId: text(1),
  stagingTargetPath: text(2),
});

export interface NodePublishRequest {
  readonly volumeId: string;
  readonly publishContext: TextMap;
  readonly stagingTargetPath: string;
  readonly targetPath: string;
  readonly volumeCapability: VolumeCapability | undefined;
  readonly readonly: boolean;
  readonly secrets: TextMap;
  readonly volumeContext: TextMap;
}

const nodePublishRequest: Message<NodePublishRequest> = message("NodePublishVolumeRequest", {
  volumeId: text(1),
  publishContext: textMap(2),
  stagingTargetPath: text(3),
  targetPath: text(4),
  volumeCapability: nested(5, () => volumeCapability),
  readonly: flag(6),
  secrets: textMap(7),
  volumeContext: textMap(8),
});

export interface NodeUnpublishRequest {
  readonly volumeId: string;
  readonly targetPath: string;
}

const nodeUnpublishRequest: Message<NodeUnpublishRequest> = message("NodeUnpublishVolumeRequest", {
  volumeId: text(1),
  targetPath: text(2),
});

export interface NodeStatsRequest {
  readonly volumeId: string;
  readonly volumePath: string;
  readonly stagingTargetPath: string;
}

const nodeStatsRequest: Message<NodeStatsRequest> = message("NodeGetVolumeStatsRequest", {
  volumeId: text(1),
  volumePath: text(2),
  stagingTargetPath: text(3),
});

/** `unit` 1 is bytes, 2 is inodes. */
export interface VolumeUsage {
  readonly available: number;
  readonly total: number;
  readonly used: number;
  readonly unit: number;
}

const volumeUsage: Message<VolumeUsage> = message("VolumeUsage", {
  available: integer(1),
  total: integer(2),
  used: integer(3),
  unit: integer(4),
});

export interface NodeStatsResponse {
  readonly usage: readonly VolumeUsage[];
  readonly volumeCondition: VolumeCondition | undefined;
}

const nodeStatsResponse: Message<NodeStatsResponse> = message("NodeGetVolumeStatsResponse", {
  usage: list(1, () => volumeUsage),
  volumeCondition: nested(2, () => volumeCondition),
});

export interface NodeExpandRequest {
  readonly volumeId: string;
  readonly volumePath: string;
  readonly capacityRange: CapacityRange | undefined;
  readonly stagingTargetPath: string;
  readonly volumeCapability: VolumeCapability | undefined;
  readonly secrets: TextMap;
}

const nodeExpandRequest: Message<NodeExpandRequest> = message("NodeExpandVolumeRequest", {
  volumeId: text(1),
  volumePath: text(2),
  capacityRange: nested(3, () => capacityRange),
  stagingTargetPath: text(4),
  volumeCapability: nested(5, () => volumeCapability),
  secrets: textMap(6),
});

export interface NodeExpandResponse {
  readonly capacityBytes: number;
}

const nodeExpandResponse: Message<NodeExpandResponse> = message("NodeExpandVolumeResponse", {
  capacityBytes: integer(1),
});

export interface NodeInfo {
  readonly nodeId: string;
  /** 0 is no limit. */
  readonly maxVolumesPerNode: number;
  readonly accessibleTopology: Topology | undefined;
}

const nodeInfo: Message<NodeInfo> = message("NodeGetInfoResponse", {
  nodeId: text(1),
  maxVolumesPerNode: integer(2),
  accessibleTopology: nested(3, () => topology),
});

const path = (name: string): string => `/csi.v1.Node/${name}`;

/** The methods of the service. */
export const node: {
  readonly stageVolume: Method<NodeStageRequest, Empty>;
  readonly unstageVolume: Method<NodeUnstageRequest, Empty>;
  readonly publishVolume: Method<NodePublishRequest, Empty>;
  readonly unpublishVolume: Method<NodeUnpublishRequest, Empty>;
  readonly getVolumeStats: Method<NodeStatsRequest, NodeStatsResponse>;
  readonly expandVolume: Method<NodeExpandRequest, NodeExpandResponse>;
  readonly getCapabilities: Method<Empty, RpcCapabilities>;
  readonly getInfo: Method<Empty, NodeInfo>;
} = {
  stageVolume: method(path("NodeStageVolume"), nodeStageRequest, empty),
  unstageVolume: method(path("NodeUnstageVolume"), nodeUnstageRequest, empty),
  publishVolume: method(path("NodePublishVolume"), nodePublishRequest, empty),
  unpublishVolume: method(path("NodeUnpublishVolume"), nodeUnpublishRequest, empty),
  getVolumeStats: method(path("NodeGetVolumeStats"), nodeStatsRequest, nodeStatsResponse),
  expandVolume: method(path("NodeExpandVolume"), nodeExpandRequest, nodeExpandResponse),
  getCapabilities: method(path("NodeGetCapabilities"), empty, rpcCapabilities),
  getInfo: method(path("NodeGetInfo"), empty, nodeInfo),
};
