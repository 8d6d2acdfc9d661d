// Service Controller of the CSI specification, version 1.
import { type Method, method } from "../grpc/method.ts";
import {
  type ControllerExpandRequest,
  type ControllerExpandResponse,
  type ControllerPublishRequest,
  type ControllerPublishResponse,
  type ControllerUnpublishRequest,
  type CreateVolumeRequest,
  controllerExpandRequest,
  controllerExpandResponse,
  controllerPublishRequest,
  controllerPublishResponse,
  controllerUnpublishRequest,
  createVolumeRequest,
  type DeleteVolumeRequest,
  deleteVolumeRequest,
  type GetCapacityRequest,
  type GetCapacityResponse,
  getCapacityRequest,
  getCapacityResponse,
  type ListVolumesRequest,
  type ListVolumesResponse,
  listVolumesRequest,
  listVolumesResponse,
  type ValidateCapabilitiesRequest,
  type ValidateCapabilitiesResponse,
  type VolumeEntry,
  type VolumeIdRequest,
  type VolumeResponse,
  validateCapabilitiesRequest,
  validateCapabilitiesResponse,
  volumeEntry,
  volumeIdRequest,
  volumeResponse,
} from "./controller-messages.ts";
import { type RpcCapabilities, rpcCapabilities } from "./identity-service.ts";
import {
  type CreateSnapshotRequest,
  createSnapshotRequest,
  type DeleteSnapshotRequest,
  deleteSnapshotRequest,
  type ListSnapshotsRequest,
  type ListSnapshotsResponse,
  listSnapshotsRequest,
  listSnapshotsResponse,
  type SnapshotResponse,
  snapshotResponse,
} from "./snapshot-messages.ts";
import { type Empty, empty } from "./volume-messages.ts";

/** What a controller can, by its number on the wire. Those from `volumeCondition` on are alpha or were until lately. */
export const controllerRpcs: {
  readonly createDeleteVolume: 1;
  readonly publishUnpublishVolume: 2;
  readonly listVolumes: 3;
  readonly getCapacity: 4;
  readonly createDeleteSnapshot: 5;
  readonly listSnapshots: 6;
  readonly cloneVolume: 7;
  readonly publishReadonly: 8;
  readonly expandVolume: 9;
  readonly listVolumesPublishedNodes: 10;
  readonly volumeCondition: 11;
  readonly getVolume: 12;
} = {
  createDeleteVolume: 1,
  publishUnpublishVolume: 2,
  listVolumes: 3,
  getCapacity: 4,
  createDeleteSnapshot: 5,
  listSnapshots: 6,
  cloneVolume: 7,
  publishReadonly: 8,
  expandVolume: 9,
  listVolumesPublishedNodes: 10,
  volumeCondition: 11,
  getVolume: 12,
};

const path = (name: string): string => `/csi.v1.Controller/${name}`;

/** The methods of the service. */
export const controller: {
  readonly createVolume: Method<CreateVolumeRequest, VolumeResponse>;
  readonly deleteVolume: Method<DeleteVolumeRequest, Empty>;
  readonly publishVolume: Method<ControllerPublishRequest, ControllerPublishResponse>;
  readonly unpublishVolume: Method<ControllerUnpublishRequest, Empty>;
  readonly validateVolumeCapabilities: Method<ValidateCapabilitiesRequest, ValidateCapabilitiesResponse>;
  readonly listVolumes: Method<ListVolumesRequest, ListVolumesResponse>;
  readonly getCapacity: Method<GetCapacityRequest, GetCapacityResponse>;
  readonly getCapabilities: Method<Empty, RpcCapabilities>;
  readonly createSnapshot: Method<CreateSnapshotRequest, SnapshotResponse>;
  readonly deleteSnapshot: Method<DeleteSnapshotRequest, Empty>;
  readonly listSnapshots: Method<ListSnapshotsRequest, ListSnapshotsResponse>;
  readonly expandVolume: Method<ControllerExpandRequest, ControllerExpandResponse>;
  readonly getVolume: Method<VolumeIdRequest, VolumeEntry>;
} = {
  createVolume: method(path("CreateVolume"), createVolumeRequest, volumeResponse),
  deleteVolume: method(path("DeleteVolume"), deleteVolumeRequest, empty),
  publishVolume: method(path("ControllerPublishVolume"), controllerPublishRequest, controllerPublishResponse),
  unpublishVolume: method(path("ControllerUnpublishVolume"), controllerUnpublishRequest, empty),
  validateVolumeCapabilities: method(
    path("ValidateVolumeCapabilities"),
    validateCapabilitiesRequest,
    validateCapabilitiesResponse,
  ),
  listVolumes: method(path("ListVolumes"), listVolumesRequest, listVolumesResponse),
  getCapacity: method(path("GetCapacity"), getCapacityRequest, getCapacityResponse),
  getCapabilities: method(path("ControllerGetCapabilities"), empty, rpcCapabilities),
  createSnapshot: method(path("CreateSnapshot"), createSnapshotRequest, snapshotResponse),
  deleteSnapshot: method(path("DeleteSnapshot"), deleteSnapshotRequest, empty),
  listSnapshots: method(path("ListSnapshots"), listSnapshotsRequest, listSnapshotsResponse),
  expandVolume: method(path("ControllerExpandVolume"), controllerExpandRequest, controllerExpandResponse),
  getVolume: method(path("ControllerGetVolume"), volumeIdRequest, volumeEntry),
};
