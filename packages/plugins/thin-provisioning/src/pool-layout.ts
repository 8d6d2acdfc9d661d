import { join } from "node:path";

/**
 * Where things lie in a pool's folder.
 *
 * | path | what |
 * | --- | --- |
 * | `pool.json` | the pool's id and format |
 * | `lock` | who has the pool open |
 * | `log/<number>` | the pool's log: volumes whose folders need not be on disk yet, and those that were deleted |
 * | `volumes/<id>/disk.qcow2` | a volume's content; an overlay names `../<parent id>/disk.qcow2` |
 * | `volumes/<id>/<snapshot id>.qcow2` | what it held until a snapshot: a layer that `disk.qcow2` or another layer lies on; an overlay of the snapshot names `../<id>/<snapshot id>.qcow2` |
 * | `volumes/<id>/<checkpoint id>.changes` | which of its blocks changed since a checkpoint |
 * | `volumes/<id>/.disk.qcow2.*` | while it is open for writing: the claim on it, and the journal of what its tables do not have yet |
 * | `volumes/<id>/volume.json` | its record |
 * | `groups/<id>.json` | a group snapshot |
 * | `volumes/.new-<id>` | a volume that is being made; swept at the next opening |
 * | `trash/<id>` | a deleted volume that is being removed; swept at the next opening |
 * | `serving/<host>/<id>` | a mark: the host's storage process serves this volume again when it is started again |
 * | `serving/<host>/<id>.<snapshot id>` | the same for a snapshot that is read there |
 */
export class PoolLayout {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  get identity(): string {
    return join(this.root, "pool.json");
  }

  get lock(): string {
    return join(this.root, "lock");
  }

  get volumes(): string {
    return join(this.root, "volumes");
  }

  get log(): string {
    return join(this.root, "log");
  }

  get trash(): string {
    return join(this.root, "trash");
  }

  volume(volumeId: string): string {
    return join(this.volumes, volumeId);
  }

  image(volumeId: string): string {
    return join(this.volumes, volumeId, imageName);
  }

  layer(volumeId: string, snapshotId: string): string {
    return join(this.volumes, volumeId, layerName(snapshotId));
  }

  changes(volumeId: string, checkpoint: string): string {
    return join(this.volumes, volumeId, `${checkpoint}.changes`);
  }

  get groups(): string {
    return join(this.root, "groups");
  }

  group(groupSnapshotId: string): string {
    return join(this.groups, `${groupSnapshotId}.json`);
  }

  record(volumeId: string): string {
    return join(this.volumes, volumeId, recordName);
  }

  /** Where a volume is made before it gets its place. As deep as `volumes/<id>`, so that a relative backing name means the same. */
  incoming(volumeId: string): string {
    return join(this.volumes, `${incomingPrefix}${volumeId}`);
  }

  discarded(volumeId: string): string {
    return join(this.trash, volumeId);
  }

  serving(host: string): string {
    return join(this.root, "serving", encodeURIComponent(host));
  }
}

/** Name of a volume's image in its folder. */
export const imageName = "disk.qcow2";

/** Name of a snapshot's layer in its volume's folder. */
export function layerName(snapshotId: string): string {
  return `${snapshotId}.qcow2`;
}

/** Name of a volume's record in its folder. */
export const recordName = "volume.json";

/** How the folders of unfinished volumes begin. */
export const incomingPrefix = ".new-";

/** Whether a name is a volume id of this package: ids from outside become paths only after this. */
export function isVolumeId(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
