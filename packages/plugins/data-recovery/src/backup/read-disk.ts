import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { BackupDisk } from "@vdc-os/core/backup/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { type BlobHash, isZeroHash } from "../repository/blob.ts";
import type { BlobWriter } from "../repository/blob-writer.ts";
import type { Repository } from "../repository/repository.ts";
import type { BlockDevice, OpenDevice } from "../source/block-device.ts";
import { chunkCountOf, depthOf } from "../tree/tree-shape.ts";
import { type NodeStore, type TreeBase, TreeWriter } from "../tree/tree-writer.ts";
import { type ByteRange, type ChunkRange, chunkRanges, inOrder, wholeDisk } from "./chunk-ranges.ts";
import { type CopyCounters, copyDisk, splitZeroes } from "./copy-disk.ts";
import type { DiskPlan, DiskProgress } from "./run-record.ts";
import type { StorageAccess } from "./storage-access.ts";

/** Options of {@link readDisk}. */
export interface ReadDiskOptions {
  readonly repository: Repository;
  readonly storage: StorageAccess;
  readonly openDevice: OpenDevice;
  readonly host: string;
  readonly disk: BackupDisk;
  readonly plan: DiskPlan;
  /** Where a run that was killed had come to. */
  readonly progress: DiskProgress | undefined;
  /** Counts what this disk takes; begins with what `progress` has. */
  readonly counters: CopyCounters;
  readonly flushBytes: number;
  readonly save: (progress: DiskProgress) => Promise<void>;
  readonly onProgress: () => void;
}

/** What a disk consists of. */
export interface ReadDisk {
  readonly root: BlobHash;
  readonly dataBytes: number;
}

/**
 * Stores what a disk consists of. `FAILED_PRECONDITION` with reason `VDC_CHANGES_UNKNOWN` when the provider can't tell what has changed: nothing of
 * that reading counts then.
 */
export async function readDisk(options: ReadDiskOptions, context: OperationContext): Promise<ReadDisk> {
  const { repository, plan, progress, counters, disk } = options;
  const { chunkBytes } = repository;
  const writer = repository.writer();
  const store = nodeStore(repository, writer);
  const depth = depthOf(chunkCountOf(plan.capacityBytes, chunkBytes));
  const tree =
    progress === undefined
      ? TreeWriter.begin(store, depth, baseOf(plan, chunkBytes))
      : TreeWriter.resume(store, progress.tree);
  const resultOf = (root: BlobHash): ReadDisk => ({
    root,
    dataBytes: Math.min(tree.dataChunks * chunkBytes, plan.capacityBytes),
  });
  if (progress?.root !== undefined) return resultOf(Buffer.from(progress.root, "hex"));
  const transport = await attach(options, context);
  const device = await options.openDevice(transport, { writable: false, signal: context.signal });
  try {
    if (device.sizeBytes < plan.capacityBytes) {
      throw new VdcError(
        "INTERNAL",
        `disk '${disk.diskId}' has ${plan.capacityBytes} bytes, and can be read for ${device.sizeBytes}`,
      );
    }
    const savedAt = async (next: number, root?: BlobHash): Promise<void> => {
      const done = root === undefined ? {} : { root: root.toString("hex") };
      await options.save({ next, tree: tree.progress, counters: { ...counters }, ...done });
    };
    const { signal } = context;
    const copy = { device, sizeBytes: plan.capacityBytes, chunkBytes, signal };
    await copyDisk({
      ...copy,
      ranges: rangesToRead(options, device, progress?.next ?? 0, context),
      tree,
      writer,
      counters,
      flushBytes: options.flushBytes,
      onFlushed: (next) => savedAt(next),
      onProgress: options.onProgress,
    });
    const root = await tree.finish();
    await writer.flush();
    counters.storedBytes += tree.storedBytes;
    await savedAt(chunkCountOf(plan.capacityBytes, chunkBytes), root);
    return resultOf(root);
  } finally {
    await writer.abandon();
    await device.close();
  }
}

function nodeStore(repository: Repository, writer: BlobWriter): NodeStore {
  return {
    read: (hash) => repository.readBlob("node", hash),
    put: (kind, content) => writer.put(kind, content),
  };
}

function baseOf({ base }: DiskPlan, chunkBytes: number): TreeBase | undefined {
  if (base === undefined) return undefined;
  const root = Buffer.from(base.root, "hex");
  const depth = depthOf(chunkCountOf(base.capacityBytes, chunkBytes));
  const dataChunks = isZeroHash(root) ? 0 : Math.ceil(base.dataBytes / chunkBytes);
  return { root, depth, dataChunks };
}

async function attach(
  { storage, disk, plan, host }: ReadDiskOptions,
  context: OperationContext,
): Promise<VolumeTransport> {
  const { snapshotId } = plan;
  if (snapshotId !== undefined) {
    const snapshots = await storage.need(disk.storage, "snapshots", context);
    return (await storage.patiently(context, () => snapshots.attachSnapshot({ snapshotId, host }, context))).transport;
  }
  const { volumeId, generation = 1 } = disk;
  const attachment = await storage.patiently(context, () =>
    storage.get(disk.storage).attachVolume({ volumeId, host, access: "readOnly", generation }, context),
  );
  return attachment.transport;
}

/**
 * The chunks to read. What a provider tells of a volume is of the volume as it is now, and so tells where to look and never what is there: only what the
 * snapshot itself says to be zero is not read.
 */
async function* rangesToRead(
  options: ReadDiskOptions,
  device: BlockDevice,
  from: number,
  context: OperationContext,
): AsyncGenerator<ChunkRange> {
  const { plan, repository } = options;
  const { chunkBytes } = repository;
  const { signal } = context;
  const chunkCount = chunkCountOf(plan.capacityBytes, chunkBytes);
  if (from >= chunkCount) return;
  const copy = { device, sizeBytes: plan.capacityBytes, chunkBytes, signal };
  const touched = chunkRanges(await bytesToRead(options, device, from * chunkBytes, context), {
    chunkBytes,
    chunkCount,
    from,
  });
  for await (const range of splitZeroes(touched, copy)) {
    // A tree that begins empty has its zeroes already.
    if (!range.zero || plan.base !== undefined) yield range;
  }
}

async function bytesToRead(
  { storage, disk, plan }: ReadDiskOptions,
  device: BlockDevice,
  startingOffset: number,
  context: OperationContext,
): Promise<AsyncIterable<ByteRange>> {
  const { volumeId } = disk;
  const facet = await storage.facet(disk.storage, "changedBlocks", context);
  const { checkpoint, base } = plan;
  if (facet.operations === undefined || checkpoint === undefined) return wholeDisk(plan.capacityBytes);
  const changes = facet.operations;
  const changedSince = (since: string): AsyncIterable<ByteRange> =>
    orUnknown(changes.changedExtents({ volumeId, since, startingOffset }, context));
  if (base !== undefined) return changedSince(base.checkpoint);
  if (device.zeroExtents !== undefined) return wholeDisk(plan.capacityBytes);
  // What the snapshot has was allocated before it and is so still, or has been written to, or given up, since the checkpoint.
  const allocated = changes.allocatedExtents({ volumeId, startingOffset }, context);
  return inOrder(allocated, changedSince(checkpoint.id));
}

async function* orUnknown(changes: AsyncIterable<ByteRange>): AsyncGenerator<ByteRange> {
  try {
    yield* changes;
  } catch (error) {
    if (!isVdcError(error, "FAILED_PRECONDITION") && !isVdcError(error, "NOT_FOUND")) throw error;
    throw new VdcError("FAILED_PRECONDITION", `it can't be told what has changed: ${error.message}`, {
      reason: "VDC_CHANGES_UNKNOWN",
      cause: error,
    });
  }
}
