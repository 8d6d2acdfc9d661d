import { mkdirSync, readFileSync, realpathSync, statfsSync, statSync } from "node:fs";
import {
  type Clock,
  createOperationContext,
  type Handle,
  type Json,
  type Logger,
  type OperationContext,
  type OwnerStamp,
  type Providers,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
  VdcError,
} from "@vdc-os/core";
import type { HostRuntime } from "@vdc-os/core/host/v1";
import type { PoolCapacity } from "@vdc-os/core/storage/v1";
import { writeFileAtomic } from "@vdc-os/core/local";
import { z } from "zod";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import { Attachments } from "./attachments.ts";
import type { ThinProvisioningConfig } from "./config.ts";
import { GroupCatalog } from "./group-catalog.ts";
import { assertCanPromise, type PoolLimits, type PoolUsage, poolCapacityOf } from "./pool-capacity.ts";
import { KeyDelivery } from "./key-delivery.ts";
import { defaultKeyIterations, KeyResolver } from "./key-resolver.ts";
import { KeyRotation } from "./key-rotation.ts";
import { PoolLayout } from "./pool-layout.ts";
import { lockPool, type PoolLock } from "./pool-lock.ts";
import { StorageProcesses } from "./storage-processes.ts";
import { LayerChanges, servedOwner } from "./layer-changes.ts";
import { LayerRemoval } from "./layer-removal.ts";
import { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import { VolumeImages } from "./volume-images.ts";

/** What a pool works with, beside its config. */
export interface OpenThinPoolOptions extends ThinProvisioningConfig {
  /** The hosts on which volumes can be attached. */
  readonly hosts: Providers<HostRuntime>;
  /** Where the keys of encrypted volumes are kept. Without it there are none. */
  readonly secrets?: Pick<Handle<SecretStore>, "resolve"> | undefined;
  /** Defaults to none. */
  readonly logger?: Logger;
  /** Defaults to the machine's. */
  readonly clock?: Clock;
  /** Defaults to the machine's. */
  readonly random?: Random;
  /** The least size of the segments of the pool's log, in bytes. Defaults to 1 MiB. */
  readonly logSegmentBytes?: number;
}

/** How old the sum of what volumes take may be when a volume is admitted, in milliseconds. */
const allocatedMaxAgeMs = 1000;

const identity = z.object({ format: z.literal(1), poolId: z.string() });

/** An open pool: its volumes, their attachments and its space. One process has it open. */
export class ThinPool {
  readonly name: string;
  readonly poolId: string;
  readonly layout: PoolLayout;
  readonly catalog: VolumeCatalog;
  readonly groups: GroupCatalog;
  readonly layers: LayerChanges;
  readonly removal: LayerRemoval;
  readonly attachments: Attachments;
  readonly keys: KeyResolver;
  readonly images: VolumeImages;
  readonly delivery: KeyDelivery;
  readonly rotation: KeyRotation;
  readonly processes: StorageProcesses;
  readonly clock: Clock;
  readonly random: Random;
  readonly accessibleHosts: readonly string[] | undefined;
  /** What becomes of a write that finds no space. */
  readonly outOfSpace: "pause" | "fail";
  readonly #lock: PoolLock;
  readonly #limits: PoolLimits;
  #allocated: { readonly bytes: number; readonly until: number } = { bytes: 0, until: Number.NEGATIVE_INFINITY };

  private constructor(
    options: OpenThinPoolOptions,
    parts: { layout: PoolLayout; lock: PoolLock; poolId: string; catalog: VolumeCatalog; groups: GroupCatalog },
  ) {
    const { layout, lock, poolId, catalog, groups } = parts;
    this.name = options.name;
    this.poolId = poolId;
    this.layout = layout;
    this.catalog = catalog;
    this.groups = groups;
    this.outOfSpace = options.outOfSpace ?? "pause";
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? systemRandom;
    this.accessibleHosts = options.accessibleHosts;
    this.#lock = lock;
    this.#limits = {
      capacityBytes: options.capacityBytes,
      maxOverSubscription: options.maxOverSubscription ?? 4,
      reservedBytes: options.reservedBytes ?? 0,
      alarmThresholds: options.alarmThresholds ?? [0.75, 0.9],
      outOfSpace: this.outOfSpace,
    };
    const owner: OwnerStamp = {
      datacenter: options.datacenter ?? poolId,
      tenant: "default",
      kind: "StoragePool",
      name: options.name,
      uid: poolId,
    };
    this.processes = new StorageProcesses({
      hosts: options.hosts,
      name: options.name,
      poolDirectory: layout.root,
      owner,
      limitBytes: limitBytesOf(this.#limits, layout),
      outOfSpace: this.outOfSpace,
    });
    const { processes } = this;
    const logger = options.logger ?? silentLogger;
    const { secrets, keyRef: defaultKeyRef, keyIterations: iterations = defaultKeyIterations } = options;
    const keys = new KeyResolver({ catalog, secrets, defaultKeyRef, iterations });
    const images = new VolumeImages(layout, keys);
    const delivery = new KeyDelivery({
      catalog,
      processes,
      keys,
      clock: this.clock,
      logger,
      resume: (entry, context) => this.rotation.resume(entry, context),
    });
    this.keys = keys;
    this.images = images;
    this.delivery = delivery;
    const isGroupComplete = (id: string): boolean => groups.isComplete(id);
    this.layers = new LayerChanges({ catalog, processes, images, keys, isGroupComplete });
    this.rotation = new KeyRotation({ catalog, processes, images, keys, layers: this.layers, delivery });
    this.removal = new LayerRemoval({ catalog, processes, images, logger });
    this.attachments = new Attachments({
      catalog,
      processes,
      logger,
      images,
      keys,
      delivery,
      settle: (entry, context) => this.layers.settle(entry, context),
      accessibleHosts: options.accessibleHosts,
    });
  }

  /**
   * Opens a pool, or makes one of an empty or absent folder. Sweeps what a kill left. Throws `FAILED_PRECONDITION` and names the
   * process when another one has it open.
   */
  static async open(options: OpenThinPoolOptions): Promise<ThinPool> {
    if (options.keyRef !== undefined && options.secrets === undefined) {
      throw new VdcError("FAILED_PRECONDITION", `pool '${options.name}' has a key, and there is no secret store`, {
        reason: "VDC_NO_SECRET_STORE",
      });
    }
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    const layout = new PoolLayout(realpathSync(options.directory));
    const lock = lockPool(layout.lock);
    let opened: VolumeCatalog | undefined;
    try {
      const poolId = await openIdentity(layout, options.random ?? systemRandom);
      const logger = options.logger ?? silentLogger;
      const { logSegmentBytes } = options;
      const catalog = await VolumeCatalog.open({ layout, logger, logSegmentBytes });
      opened = catalog;
      const groups = await GroupCatalog.open(layout, logger);
      const pool = new ThinPool(options, { layout, lock, poolId, catalog, groups });
      for (const entry of catalog.entries) {
        // Where a storage process has the image open, the next change of the volume asks it.
        if (entry.record.attachment === undefined) await pool.#settle(entry, logger);
      }
      pool.delivery.watch();
      return pool;
    } catch (error) {
      opened?.close();
      lock.release();
      throw error;
    }
  }

  /** Gives the pool up. Attached volumes are served on. */
  close(): void {
    this.delivery.stop();
    this.catalog.close();
    this.#lock.release();
  }

  /** Whether all volumes are encrypted, and those that are made as well, whatever they ask for. */
  get encryptsEverything(): boolean {
    if (this.keys.defaultKeyRef === undefined) return false;
    for (const { record } of this.catalog.entries) if (record.encryption === undefined) return false;
    return true;
  }

  /** What a volume takes on its file system now with all its layers, also while it is attached. */
  allocatedBytes(entry: VolumeEntry): number {
    const { layout } = this;
    const { volumeId, record } = entry;
    let bytes = allocatedBytesOf(layout.image(volumeId));
    for (const { snapshotId } of record.snapshots ?? []) bytes += allocatedBytesOf(layout.layer(volumeId, snapshotId));
    return bytes;
  }

  /** Lets the process that serves a volume take over what the record says, and returns what is in force; `undefined` when none does. */
  async refresh(entry: VolumeEntry, context: OperationContext): Promise<Json | undefined> {
    const writer = servedOwner(entry.record);
    return writer === undefined ? undefined : this.processes.request(writer.host, "refresh", writer.owner, context);
  }

  capacity(): PoolCapacity {
    let allocatedBytes = 0;
    for (const entry of this.catalog.entries) allocatedBytes += this.allocatedBytes(entry);
    return poolCapacityOf({ ...this.#usage(), allocatedBytes }, this.#limits);
  }

  /**
   * Throws `RESOURCE_EXHAUSTED` when volumes can't grow by this much in all. What is promised is exact; what is allocated may be a second
   * old, so that thousands of volumes in a row do not each look at all the others.
   */
  assertCanPromise(additionalBytes: number): void {
    const now = this.clock.monotonic();
    if (this.#limits.capacityBytes !== undefined && now >= this.#allocated.until) {
      this.#allocated = { bytes: this.capacity().allocatedBytes, until: now + allocatedMaxAgeMs };
    }
    assertCanPromise(additionalBytes, { ...this.#usage(), allocatedBytes: this.#allocated.bytes }, this.#limits);
  }

  /** Finishes what a kill cut short. What a key is wanted for, which can't be had now, waits for the volume's next change. */
  async #settle(entry: VolumeEntry, logger: Logger): Promise<void> {
    const context = createOperationContext();
    try {
      await this.layers.settle(entry, context);
      if (entry.record.encryption?.nextKey !== undefined) await this.rotation.resume(entry, context);
    } catch (error) {
      if (entry.record.encryption === undefined) throw error;
      logger.warn("a change that was cut short waits for the volume's key", {
        volumeId: entry.volumeId,
        error: String(error),
      });
    }
  }

  #usage(): Omit<PoolUsage, "allocatedBytes"> {
    const { bsize, blocks, bavail } = statfsSync(this.layout.root);
    return {
      fileSystemBytes: bsize * blocks,
      fileSystemFreeBytes: bsize * bavail,
      provisionedBytes: this.catalog.provisionedBytes,
    };
  }
}

/** What a file takes on its file system. POSIX counts blocks of 512 bytes, whatever the file system's own are. */
function allocatedBytesOf(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}

/** What volumes may take in all; `undefined` when nothing but the file system limits them. */
function limitBytesOf({ capacityBytes, reservedBytes }: PoolLimits, layout: PoolLayout): number | undefined {
  if (capacityBytes === undefined && reservedBytes === 0) return undefined;
  const { bsize, blocks } = statfsSync(layout.root);
  return Math.max(0, Math.min(capacityBytes ?? Number.MAX_SAFE_INTEGER, bsize * blocks) - reservedBytes);
}

async function openIdentity(layout: PoolLayout, random: Random): Promise<string> {
  let text: string;
  try {
    text = readFileSync(layout.identity, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const poolId = random.uuid();
    await writeFileAtomic(layout.identity, `${JSON.stringify({ format: 1, poolId })}\n`);
    return poolId;
  }
  try {
    return identity.parse(JSON.parse(text)).poolId;
  } catch (cause) {
    throw new VdcError("DATA_LOSS", `'${layout.identity}' is damaged, or of a newer version`, { cause });
  }
}
