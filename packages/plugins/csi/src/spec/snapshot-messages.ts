// Messages of service Controller for snapshots. Field numbers are those of the CSI specification, version 1.
import { integer, list, type Message, message, nested, text, textMap } from "../grpc/message.ts";
import { type CsiSnapshot, csiSnapshot, type TextMap } from "./volume-messages.ts";

export interface CreateSnapshotRequest {
  readonly sourceVolumeId: string;
  readonly name: string;
  readonly secrets: TextMap;
  readonly parameters: TextMap;
}

export const createSnapshotRequest: Message<CreateSnapshotRequest> = message("CreateSnapshotRequest", {
  sourceVolumeId: text(1),
  name: text(2),
  secrets: textMap(3),
  parameters: textMap(4),
});

/** What `CreateSnapshot` answers, and an entry of a list. */
export interface SnapshotResponse {
  readonly snapshot: CsiSnapshot | undefined;
}

export const snapshotResponse: Message<SnapshotResponse> = message("CreateSnapshotResponse", {
  snapshot: nested(1, () => csiSnapshot),
});

export interface DeleteSnapshotRequest {
  readonly snapshotId: string;
  readonly secrets: TextMap;
}

export const deleteSnapshotRequest: Message<DeleteSnapshotRequest> = message("DeleteSnapshotRequest", {
  snapshotId: text(1),
  secrets: textMap(2),
});

export interface ListSnapshotsRequest {
  /** 0 is no limit. */
  readonly maxEntries: number;
  readonly startingToken: string;
  readonly sourceVolumeId: string;
  readonly snapshotId: string;
  readonly secrets: TextMap;
}

export const listSnapshotsRequest: Message<ListSnapshotsRequest> = message("ListSnapshotsRequest", {
  maxEntries: integer(1),
  startingToken: text(2),
  sourceVolumeId: text(3),
  snapshotId: text(4),
  secrets: textMap(5),
});

export interface ListSnapshotsResponse {
  readonly entries: readonly SnapshotResponse[];
  readonly nextToken: string;
}

export const listSnapshotsResponse: Message<ListSnapshotsResponse> = message("ListSnapshotsResponse", {
  entries: list(1, () => snapshotResponse),
  nextToken: text(2),
});
