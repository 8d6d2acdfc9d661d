import { access, readFile, stat } from "node:fs/promises";
import { join, normalize } from "node:path";
import { VdcError } from "@vdc-os/core";
import { type GrpcHandler, handler } from "../grpc/grpc-server.ts";
import { type NodeStatsResponse, node, nodeRpcs } from "../spec/node-service.ts";
import type { Sparse } from "../grpc/message.ts";
import type { NodeRecord, NodeRecords } from "./node-records.ts";
import { fromPublishContext } from "./publish-context.ts";
import { accessOf, required, requiredCapability, requiredPath } from "./require-fields.ts";
import type { Presented, PresentVolume, VolumePresenter } from "./volume-presenter.ts";

/** Options of {@link nodeHandlers}. */
export interface NodeOptions {
  readonly nodeId: string;
  readonly records: NodeRecords;
  readonly presenter: VolumePresenter;
}

/** The name of the volume in its staging folder. */
const stagedName = "volume";

/** Service Node: makes the volumes that are attached to this machine into files or block devices. It needs no provider, only the publish context. */
export function nodeHandlers(options: NodeOptions): readonly GrpcHandler[] {
  const { nodeId, records, presenter } = options;
  const busy = new Set<string>();
  /** One call at a time changes a path; the specification has `ABORTED` for the others. */
  const alone = async <T>(path: string, run: () => Promise<T>): Promise<T> => {
    if (busy.has(path)) throw new VdcError("ABORTED", `another call for '${path}' is pending`);
    busy.add(path);
    try {
      return await run();
    } finally {
      busy.delete(path);
    }
  };

  /** Makes a volume stand at a path, on record before and after. */
  const place = async (wanted: Omit<NodeRecord, "presented">, how: Omit<PresentVolume, "path">): Promise<void> => {
    const { path, volumeId } = wanted;
    const present = await records.find(path);
    if (present !== undefined) {
      if (present.volumeId !== volumeId || present.access !== wanted.access) {
        throw new VdcError("ALREADY_EXISTS", `'${path}' has volume '${present.volumeId}' (${present.access}) already`);
      }
      if (present.presented !== undefined && (await presenter.isPresent(present.presented))) return;
      await takeAway(present);
    }
    if (await exists(path)) throw new VdcError("FAILED_PRECONDITION", `something else is at '${path}' already`);
    await records.save(wanted);
    let standing: Presented;
    try {
      standing = await presenter.present({ ...how, path });
    } catch (error) {
      await records.remove(path);
      throw error;
    }
    await records.save({ ...wanted, presented: standing });
  };

  const takeAway = async ({ path, presented }: NodeRecord): Promise<void> => {
    // What was begun, and ended with its process, left a link or an empty file at most.
    await presenter.withdraw(presented ?? { kind: "link", path });
    await records.remove(path);
  };

  const end = async (path: string, volumeId: string): Promise<void> => {
    const record = await records.find(path);
    if (record !== undefined && record.volumeId === volumeId) await takeAway(record);
  };

  return [
    handler(node.getInfo, async () => ({ nodeId })),
    handler(node.getCapabilities, async () => ({
      capabilities: [nodeRpcs.stageUnstageVolume, nodeRpcs.getVolumeStats].map((type) => ({ rpc: { type } })),
    })),
    handler(node.stageVolume, async (request) => {
      const volumeId = required(request.volumeId, "volume_id");
      const path = join(requiredPath(request.stagingTargetPath, "staging_target_path"), stagedName);
      requiredCapability(request.volumeCapability);
      const reach = fromPublishContext(request.publishContext);
      await alone(path, () => place({ volumeId, path, access: reach.access }, { ...reach, narrowed: false }));
      return {};
    }),
    handler(node.unstageVolume, async (request) => {
      const volumeId = required(request.volumeId, "volume_id");
      const path = join(requiredPath(request.stagingTargetPath, "staging_target_path"), stagedName);
      await alone(path, () => end(path, volumeId));
      return {};
    }),
    handler(node.publishVolume, async (request) => {
      const volumeId = required(request.volumeId, "volume_id");
      const path = normalize(requiredPath(request.targetPath, "target_path"));
      const mode = accessOf(requiredCapability(request.volumeCapability), request.readonly);
      const staging = join(requiredPath(request.stagingTargetPath, "staging_target_path"), stagedName);
      const staged = await records.find(staging);
      if (staged === undefined || staged.volumeId !== volumeId || staged.presented === undefined) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${volumeId}' is not staged at '${staging}'`);
      }
      // What is staged for reading alone is linked to; so is what shall be written. Only the third case needs a way of its own.
      const narrowed = mode === "readOnly" && staged.access === "readWrite";
      const how = narrowed
        ? { ...fromPublishContext(request.publishContext), access: mode, narrowed }
        : { transport: { kind: "block" as const, path: staging }, access: staged.access, narrowed };
      await alone(path, () => place({ volumeId, path, access: narrowed ? mode : staged.access }, how));
      return {};
    }),
    handler(node.unpublishVolume, async (request) => {
      const volumeId = required(request.volumeId, "volume_id");
      const path = normalize(requiredPath(request.targetPath, "target_path"));
      await alone(path, () => end(path, volumeId));
      return {};
    }),
    handler(node.getVolumeStats, async (request) => {
      const volumeId = required(request.volumeId, "volume_id");
      const path = normalize(requiredPath(request.volumePath, "volume_path"));
      const record = (await records.find(path)) ?? (await records.find(join(path, stagedName)));
      if (record === undefined || record.volumeId !== volumeId) {
        throw new VdcError("NOT_FOUND", `volume '${volumeId}' is not at '${path}'`);
      }
      return statsOf(record.path);
    }),
    handler(node.expandVolume, async () => {
      throw new VdcError("UNIMPLEMENTED", "a volume that has grown has its new size when it is staged again");
    }),
  ];
}

/** A block volume's size. How much of it is used is not the node's to know. */
async function statsOf(path: string): Promise<Sparse<NodeStatsResponse>> {
  const found = await stat(path).catch((cause) => {
    throw new VdcError("NOT_FOUND", `there is nothing at '${path}'`, { cause });
  });
  if (!found.isBlockDevice()) return { usage: [{ total: found.size, unit: 1 }] };
  // In units of 512 bytes, whatever the device's own (sysfs-block, "size").
  const device = `/sys/dev/block/${found.rdev >> 8}:${found.rdev & 0xff}/size`;
  return { usage: [{ total: Number(await readFile(device, "utf8")) * 512, unit: 1 }] };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
