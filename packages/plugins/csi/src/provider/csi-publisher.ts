import { mkdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { AccessMode, VolumeTransport } from "@vdc-os/core/storage/v1";
import { type CsiDriver, capability } from "../driver/csi-driver.ts";
import type { DriverConnection } from "../driver/driver-connection.ts";
import { controller } from "../spec/controller-service.ts";
import { type NodeInfo, node, nodeRpcs } from "../spec/node-service.ts";
import type { TextMap } from "../spec/volume-messages.ts";
import type { Publication } from "./records.ts";

/** What shall be published. */
export interface PublishTarget {
  readonly host: string;
  readonly csiId: string;
  readonly access: AccessMode;
  /** Names the staging folder on the host: one for each volume of the driver's. */
  readonly stageKey: string;
  /** Names the published path: never used twice, so that an old owner's path leads nowhere. */
  readonly targetKey: string;
}

/** Brings a driver's volumes to hosts and takes them away: `ControllerPublish`, `NodeStage`, `NodePublish`, and back. Every step can be repeated. */
export class CsiPublisher {
  readonly #driver: CsiDriver;
  readonly #nodes: ReadonlyMap<string, DriverConnection>;
  readonly #directory: string;

  constructor(driver: CsiDriver, nodes: ReadonlyMap<string, DriverConnection>, directory: string) {
    this.#driver = driver;
    this.#nodes = nodes;
    this.#directory = directory;
  }

  get hosts(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** What a host's driver says of its node. Throws `FAILED_PRECONDITION` for a host that is not configured. */
  async nodeInfo(host: string, context: OperationContext): Promise<NodeInfo> {
    const found = (await this.#node(host).facts(context)).node;
    if (found !== undefined) return found;
    throw new VdcError("FAILED_PRECONDITION", `the CSI driver of host '${host}' has no service 'Node'`);
  }

  /** A publication that nothing was done for yet. */
  async plan(target: PublishTarget, context: OperationContext): Promise<Publication> {
    const { host, csiId, access, stageKey, targetKey } = target;
    const { nodeId } = await this.nodeInfo(host, context);
    const stagePath = join(this.#directory, host, "staged", stageKey);
    const targetPath = join(this.#directory, host, "published", targetKey);
    return { host, nodeId, csiId, access, stagePath, targetPath, publishContext: {} };
  }

  /** Publishes, and returns how the host reaches the volume. What fails half-way can be repeated, or ended by {@link CsiPublisher.unpublish}. */
  async publish(planned: Publication, volumeContext: TextMap, context: OperationContext): Promise<Publication> {
    const { host, nodeId, csiId: volumeId, stagePath, targetPath } = planned;
    const readonly = planned.access === "readOnly";
    const volumeCapability = capability(readonly);
    const connection = this.#node(host);
    const { nodeRpcs: nodeCan } = await connection.facts(context);
    let publishContext: TextMap = {};
    if (await this.#driver.can("publishUnpublishVolume", context)) {
      const secrets = await this.#driver.secrets(context);
      const mayBeReadonly = readonly && (await this.#driver.can("publishReadonly", context));
      const request = { volumeId, nodeId, volumeCapability, readonly: mayBeReadonly, secrets, volumeContext };
      ({ publishContext } = await this.#driver.connection.call(controller.publishVolume, request, context));
    }
    const shared = { volumeId, publishContext, volumeCapability, volumeContext };
    const stages = nodeCan.has(nodeRpcs.stageUnstageVolume);
    if (stages) {
      await mkdir(stagePath, { recursive: true, mode: 0o700 });
      const secrets = await this.#driver.secrets(context);
      await connection.call(node.stageVolume, { ...shared, stagingTargetPath: stagePath, secrets }, context);
    }
    await mkdir(dirname(targetPath), { recursive: true, mode: 0o700 });
    const secrets = await this.#driver.secrets(context);
    const request = { ...shared, stagingTargetPath: stages ? stagePath : "", targetPath, readonly, secrets };
    await connection.call(node.publishVolume, request, context);
    return { ...planned, publishContext, transport: await transportAt(targetPath) };
  }

  /** Tells a host that its volume has grown. */
  async expand(
    { csiId, host, targetPath, stagePath }: Publication,
    capacityBytes: number,
    context: OperationContext,
  ): Promise<void> {
    const connection = this.#node(host);
    const { nodeRpcs: nodeCan } = await connection.facts(context);
    if (!nodeCan.has(nodeRpcs.expandVolume)) return;
    const stages = nodeCan.has(nodeRpcs.stageUnstageVolume);
    await connection.call(
      node.expandVolume,
      {
        volumeId: csiId,
        volumePath: targetPath,
        stagingTargetPath: stages ? stagePath : "",
        capacityRange: { requiredBytes: capacityBytes },
        volumeCapability: capability(false),
        secrets: await this.#driver.secrets(context),
      },
      context,
    );
  }

  /**
   * Ends a publication. When the host can't be reached, the controller alone cuts it off, and the result is `false`: the host has to be cleared before it gets
   * the volume again. Without a controller that unpublishes, that fails with `UNAVAILABLE`.
   */
  async unpublish(publication: Publication, context: OperationContext): Promise<boolean> {
    const cutByController = await this.#driver.can("publishUnpublishVolume", context);
    let cleared = true;
    try {
      await this.clear(publication, context);
    } catch (error) {
      const lost = isVdcError(error, "UNAVAILABLE") || isVdcError(error, "DEADLINE_EXCEEDED");
      if (!lost || !cutByController) throw error;
      cleared = false;
    }
    if (cutByController) {
      const { csiId: volumeId, nodeId } = publication;
      const secrets = await this.#driver.secrets(context);
      await this.#driver.connection.call(controller.unpublishVolume, { volumeId, nodeId, secrets }, context);
    }
    return cleared;
  }

  /** The host's part of {@link CsiPublisher.unpublish}. */
  async clear({ csiId: volumeId, host, stagePath, targetPath }: Publication, context: OperationContext): Promise<void> {
    const connection = this.#node(host);
    const { nodeRpcs: nodeCan } = await connection.facts(context);
    await connection.call(node.unpublishVolume, { volumeId, targetPath }, context);
    if (nodeCan.has(nodeRpcs.stageUnstageVolume)) {
      await connection.call(node.unstageVolume, { volumeId, stagingTargetPath: stagePath }, context);
      // Emptied by the driver. What it left there is its own affair, and no reason to fail.
      await rm(stagePath, { recursive: false, force: true }).catch(() => {});
    }
  }

  #node(host: string): DriverConnection {
    const found = this.#nodes.get(host);
    if (found !== undefined) return found;
    throw new VdcError("FAILED_PRECONDITION", `host '${host}' is not among the nodes of this CSI driver`, {
      blockers: [{ kind: "Host", name: host }],
    });
  }
}

/** What the driver has put at the path. */
async function transportAt(path: string): Promise<VolumeTransport> {
  const found = await stat(path).catch((cause) => {
    throw new VdcError("UNAVAILABLE", `the CSI driver says that the volume is at '${path}', and nothing is there`, {
      reason: "VDC_CSI_NOT_PUBLISHED",
      cause,
    });
  });
  if (found.isBlockDevice()) return { kind: "block", path };
  if (found.isFile()) return { kind: "file", path, format: "raw" };
  throw new VdcError("INTERNAL", `the CSI driver published something at '${path}' that is no block device or file`, {
    reason: "VDC_CSI_VIOLATION",
  });
}
