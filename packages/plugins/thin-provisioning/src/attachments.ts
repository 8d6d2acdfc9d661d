import { isRetryableCode, isVdcError, type Logger, type OperationContext, VdcError } from "@vdc-os/core";
import type { Attachment, AttachVolume } from "@vdc-os/core/storage/v1";
import { hasJournal, Qcow2Image, removeAbandonedClaims } from "@vdc-os/qcow2";
import { exportNameOf } from "./export-name.ts";
import { breakTracking } from "./break-tracking.ts";
import type { KeyDelivery } from "./key-delivery.ts";
import type { KeyResolver } from "./key-resolver.ts";
import type { StorageProcesses } from "./storage-processes.ts";
import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import type { VolumeImages } from "./volume-images.ts";
import type { AttachmentRecord, VolumeRecord } from "./volume-record.ts";

const directLoses =
  "the VM monitor opens the file itself, so nothing of this provider is on its data path; attach with mode 'served'";

/** What an attachment by file gives up. */
const lostDirectly: Readonly<Record<string, string>> = Object.fromEntries(
  ["fencing", "epochs", "snapshots", "groupSnapshots", "changedBlocks", "qos", "discard", "layering.copyUp"].map(
    (name) => [name, directLoses],
  ),
);

/** Options of {@link Attachments}. */
export interface AttachmentsOptions {
  readonly catalog: VolumeCatalog;
  readonly processes: StorageProcesses;
  readonly logger: Logger;
  readonly images: VolumeImages;
  readonly keys: KeyResolver;
  readonly delivery: KeyDelivery;
  /** Finishes or undoes a change of the volume's layers that was cut short. */
  readonly settle: (entry: VolumeEntry, context: OperationContext) => Promise<void>;
  /** The hosts that see the pool's folder. `undefined` for all. */
  readonly accessibleHosts: readonly string[] | undefined;
}

/**
 * Who may use a volume. The record is written first, always: an attachment is in it before it is served, and marked as ending before
 * it is cut off; so after a kill at any instant the next call knows what to finish.
 */
export class Attachments {
  readonly #options: AttachmentsOptions;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
  }

  attach(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    const entry = this.#options.catalog.get(input.volumeId);
    return entry.change(["attachment"], "attach", () => this.#attach(entry, input, context));
  }

  async detach(
    input: { readonly volumeId: string; readonly host: string; readonly generation: number },
    context: OperationContext,
  ): Promise<void> {
    const entry = this.#options.catalog.find(input.volumeId);
    if (entry === undefined) return;
    await entry.change(["attachment"], "detach", async () => {
      const { attachment } = entry.record;
      if (attachment?.generation === input.generation && attachment.host === input.host)
        await this.#end(entry, context);
    });
  }

  revoke(input: { readonly volumeId: string; readonly generation: number }, context: OperationContext): Promise<void> {
    const entry = this.#options.catalog.get(input.volumeId);
    return entry.change(["attachment"], "revoke", async () => {
      const { attachment, highWater } = entry.record;
      if (attachment !== undefined && attachment.generation <= input.generation) {
        await this.#end(entry, context, input.generation);
      } else if (highWater < input.generation && attachment === undefined) {
        await this.#options.catalog.update(entry, (record) => ({ ...record, highWater: input.generation }));
      }
    });
  }

  attachmentOf(entry: VolumeEntry): Attachment | undefined {
    const { attachment, volumeId } = entry.record;
    if (attachment === undefined) return undefined;
    const { host, access, generation, transport, mode } = attachment;
    const direct = mode === "direct";
    return {
      volumeId,
      host,
      access,
      generation,
      transport,
      fencing: direct ? "none" : "enforced",
      loses: direct ? lostDirectly : {},
    };
  }

  async #attach(entry: VolumeEntry, input: AttachVolume, context: OperationContext): Promise<Attachment> {
    const { catalog, processes } = this.#options;
    const { volumeId, host, generation, access, mode = "served" } = input;
    const { record } = entry;
    const present = record.attachment;
    const repeats = present?.generation === generation && !present.ending;
    if (generation <= record.highWater && !repeats) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `volume '${record.name}' has seen attachment generation ${record.highWater}: ${generation} is fenced`,
        { reason: "VDC_FENCED", details: { generation, highest: record.highWater } },
      );
    }
    if (repeats && (present.host !== host || present.access !== access || present.mode !== mode)) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `volume '${record.name}' is attached in generation ${generation} to host '${present.host}', ${present.access}, ${present.mode}: another attachment needs a higher generation`,
        { reason: "VDC_ATTACHED_OTHERWISE", blockers: [{ kind: "host", name: present.host }] },
      );
    }
    this.#assertAttachable(entry, input);
    // A key that can't be read ends nobody's attachment.
    const keys = (await this.#options.keys.keysOf(entry, context)).wire();
    if (!repeats) {
      const socket = mode === "served" ? await processes.ensure(host, context) : "";
      if (present !== undefined) await this.#end(entry, context);
      // Overlays may have been made while the process was started.
      this.#assertAttachable(entry, input);
      await this.#options.settle(entry, context);
      if (mode === "direct" && access === "readWrite") this.#breakTracking(entry);
      const attachment: AttachmentRecord = {
        host,
        access,
        generation,
        mode,
        ending: false,
        transport:
          mode === "direct"
            ? { kind: "file", path: catalog.layout.image(volumeId), format: "qcow2" }
            : { kind: "nbd-unix", path: socket, exportName: exportNameOf(volumeId, generation) },
      };
      await catalog.update(entry, (old) => ({ ...old, highWater: generation, attachment }));
    } else if (mode === "served") {
      await processes.ensure(host, context);
    }
    if (mode === "served") {
      try {
        await processes.request(host, "attach", { volumeId, generation, ...(keys && { keys }) }, context);
        if (keys !== undefined) this.#options.delivery.watch();
      } catch (error) {
        // Where the outcome is unknown the record stays, and the caller repeats the call.
        if (!repeats && isVdcError(error) && isFinal(error)) {
          await catalog.update(entry, ({ attachment: _, ...old }) => ({ ...old, highWater: record.highWater }));
        }
        throw error;
      }
    }
    return this.attachmentOf(entry) as Attachment;
  }

  /** Cuts off the present owner, and persists that nothing up to a generation comes back. */
  async #end(entry: VolumeEntry, context: OperationContext, generation = 0): Promise<void> {
    const { catalog, processes } = this.#options;
    const { attachment } = entry.record;
    if (attachment === undefined) return;
    await catalog.update(entry, (record) => ({
      ...record,
      highWater: Math.max(record.highWater, attachment.generation),
      attachment: { ...attachment, ending: true },
    }));
    const owner = { volumeId: entry.volumeId, generation: attachment.generation };
    if (attachment.mode === "served") await processes.cutOff(attachment.host, owner, context);
    else if (attachment.access === "readWrite") await this.#assertNotOpen(entry, attachment.host);
    await this.#tidyUpAfter(entry, context);
    await catalog.update(entry, ({ attachment: _, ...record }) => ({
      ...record,
      highWater: Math.max(record.highWater, generation),
    }));
  }

  /** What a storage process that was killed has left, and no other will take up: claims, and writes that its tables in the file do not know yet. */
  async #tidyUpAfter(entry: VolumeEntry, context: OperationContext): Promise<void> {
    const { catalog, images, logger } = this.#options;
    const { volumeId } = entry;
    const path = catalog.layout.image(volumeId);
    if (hasJournal(path)) {
      try {
        const image = await images.open(entry, {}, context);
        await image.close();
      } catch (error) {
        // The owner has gone all the same; whoever opens the image for writing tries again.
        logger.error("what a killed storage process had written could not be taken up", {
          volumeId,
          error: String(error),
        });
      }
    }
    removeAbandonedClaims(path);
  }

  /** A file can't be taken away from a VM monitor; but QEMU locks what it has open, and on Linux that can be seen. */
  async #assertNotOpen(entry: VolumeEntry, host: string): Promise<void> {
    try {
      const image = await Qcow2Image.open(this.#options.catalog.layout.image(entry.volumeId), {
        readOnly: true,
        resolveBacking: () => undefined,
      });
      await image.close();
    } catch (error) {
      if ((error as { readonly code?: string }).code !== "IN_USE") return;
      throw new VdcError(
        "UNAVAILABLE",
        `volume '${entry.record.name}' is attached directly on host '${host}', and its VM still has the file open: end the VM first`,
        { reason: "VDC_CANNOT_FENCE", blockers: [{ kind: "host", name: host }], cause: error },
      );
    }
  }

  /** What the VM monitor writes by itself is not tracked. */
  #breakTracking({ volumeId, record }: VolumeEntry): void {
    const { layout } = this.#options.catalog;
    for (const { checkpoint } of record.checkpoints ?? []) breakTracking(layout.changes(volumeId, checkpoint));
  }

  #assertAttachable(entry: VolumeEntry, { host, access, mode }: AttachVolume): void {
    const { record } = entry;
    assertHostAccessible(record, this.#options.accessibleHosts, host);
    if (mode === "direct" && record.encryption !== undefined) {
      throw new VdcError(
        "UNIMPLEMENTED",
        `volume '${record.name}' is encrypted: its key is for the storage process, so it is attached with mode 'served'`,
        { reason: "VDC_ENCRYPTED_DIRECT" },
      );
    }
    if (access === "readWrite" && entry.isParent) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `volume '${record.name}' is read-only: ${entry.children.size} overlays read from it`,
        { reason: "VDC_VOLUME_IS_PARENT", blockers: childrenOf(entry, this.#options.catalog) },
      );
    }
    const change = entry.changeIn("content");
    if (change !== undefined) {
      throw new VdcError("ABORTED", `volume '${record.name}' is busy with ${change}: try again`, {
        reason: "VDC_VOLUME_BUSY",
      });
    }
  }
}

/** A volume's children, for an error: at most 20 of them. */
export function childrenOf(
  entry: VolumeEntry,
  catalog: VolumeCatalog,
): readonly { readonly kind: string; readonly name: string }[] {
  return [...entry.children]
    .slice(0, 20)
    .map((volumeId) => ({ kind: "volume", name: catalog.find(volumeId)?.record.name ?? volumeId }));
}

/** Throws `FAILED_PRECONDITION` for a host that does not see a volume. */
export function assertHostAccessible(
  record: VolumeRecord,
  accessibleHosts: readonly string[] | undefined,
  host: string,
): void {
  for (const hosts of [accessibleHosts, record.request.accessibleHosts]) {
    if (hosts === undefined || hosts.includes(host)) continue;
    throw new VdcError("FAILED_PRECONDITION", `volume '${record.name}' can't be attached on host '${host}'`, {
      reason: "VDC_HOST_NOT_ACCESSIBLE",
      details: { accessibleHosts: [...hosts] },
    });
  }
}

function isFinal(error: VdcError): boolean {
  return !isRetryableCode(error.code) && error.code !== "CANCELLED" && error.code !== "UNKNOWN";
}
