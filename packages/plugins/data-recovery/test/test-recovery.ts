import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type Handle, type OperationContext } from "@vdc-os/core";
import type { RecoveryPoint } from "@vdc-os/core/backup/v1";
import { Kernel } from "@vdc-os/core/kernel";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import { type SimulatedBlockDevice, SimulatedWorld } from "@vdc-os/plugin-simulator";
import type { DataRecoveryProvider } from "../src/data-recovery-provider.ts";
import { type OpenDataRecovery, openDataRecovery } from "../src/open-data-recovery.ts";
import type { OpenDevice } from "../src/source/block-device.ts";

export const kib: number = 1024;
export const mib: number = 1024 * 1024;
export const host: string = "mover";

/** A simulated pool or two, a repository in a folder, and what makes them meet. */
export interface TestRecovery extends AsyncDisposable {
  readonly folder: string;
  readonly directory: string;
  readonly world: SimulatedWorld;
  readonly storage: Handle<StorageProvider>;
  readonly provider: DataRecoveryProvider;
  readonly openDevice: OpenDevice;
  /** What each snapshot held that was read, by its volume: the last one. */
  readonly held: Map<string, Buffer>;
  /** Closes the repository and opens it again. */
  reopen(options?: ReopenOptions): Promise<DataRecoveryProvider>;
}

/** What stands between the data mover and the world. */
export interface ReopenOptions {
  /** Called before and after each effect: on the repository's folder, and at the storage provider. */
  readonly onEffect?: (what: string) => void;
  readonly flushBytes?: number;
}

export interface TestRecoveryOptions {
  readonly chunkBytes?: number;
  readonly flushBytes?: number;
  /** Changes the storage provider. */
  readonly storage?: (provider: StorageProvider) => StorageProvider;
}

export function context(options: Parameters<typeof createOperationContext>[0] = {}): OperationContext {
  return createOperationContext(options);
}

export async function createTestRecovery(options: TestRecoveryOptions = {}): Promise<TestRecovery> {
  const folder = mkdtempSync(join(tmpdir(), "vdc-recovery-"));
  const directory = join(folder, "repository");
  const world = new SimulatedWorld({ name: `recovery-${process.pid}-${Math.random()}` });
  const held = new Map<string, Buffer>();
  const openDevice = simulatedDevices(world, held);
  const kernels: Kernel[] = [];
  let opened: OpenDataRecovery | undefined;
  const open = async ({ onEffect, flushBytes }: ReopenOptions = {}): Promise<Handle<StorageProvider>> => {
    const kernel = new Kernel();
    kernels.push(kernel);
    const simulated = (options.storage ?? ((same) => same))(world.storage("pool"));
    kernel.provide(storageProvider, "pool", onEffect === undefined ? simulated : watched(simulated, onEffect));
    kernel.provide(storageProvider, "other", world.storage("other"));
    await kernel.start();
    opened = await openDataRecovery({
      directory,
      host,
      openDevice,
      storage: kernel.all(storageProvider),
      chunkBytes: options.chunkBytes,
      flushBytes: flushBytes ?? options.flushBytes,
      onEffect,
    });
    return kernel.get(storageProvider, "pool");
  };
  const storage = await open();
  const test: TestRecovery = {
    folder,
    directory,
    world,
    storage,
    openDevice,
    held,
    get provider() {
      if (opened === undefined) throw new Error("it is closed");
      return opened.provider;
    },
    async reopen(how) {
      await opened?.close();
      opened = undefined;
      await open(how);
      return test.provider;
    },
    async [Symbol.asyncDispose]() {
      await opened?.close();
      for (const kernel of kernels) await kernel.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return test;
}

/** The world's data path. What a disk holds that is opened for reading is remembered. */
function simulatedDevices(world: SimulatedWorld, held: Map<string, Buffer>): OpenDevice {
  return async (transport, { writable }) => {
    const device: SimulatedBlockDevice = world.openTransport(transport);
    if (!writable && transport.kind === "nbd-unix") {
      held.set(transport.exportName, Buffer.from(await device.read(0, device.capacityBytes)));
    }
    return {
      sizeBytes: device.capacityBytes,
      async read(target, offset, signal) {
        signal.throwIfAborted();
        target.set(await device.read(offset, target.length));
      },
      write: (source, offset) => device.write(offset, source),
      writeZeroes: (offset, length) => device.discard(offset, length),
      flush: () => device.flush(),
      close: () => device.close(),
    };
  };
}

/** A provider whose calls are told of, before and after. */
function watched<T extends object>(target: T, onEffect: (what: string) => void): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value === "object" && value !== null) return watched(value, onEffect);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        onEffect(`before ${String(name)}`);
        const result: unknown = Reflect.apply(value, object, args);
        if (!(result instanceof Promise)) return result;
        return result.then((answer: unknown) => {
          onEffect(`after ${String(name)}`);
          return answer;
        });
      };
    },
  });
}

/** A volume that a VM on `host-1` has attached. */
export async function attachedVolume(
  test: TestRecovery,
  name: string,
  capacityBytes: number,
  storage: StorageProvider = test.world.storage("pool"),
): Promise<{ readonly volumeId: string; readonly device: SimulatedBlockDevice }> {
  const { volumeId } = await storage.createVolume({ name, capacityBytes }, context());
  const { transport } = await storage.attachVolume(
    { volumeId, host: "host-1", access: "readWrite", generation: 1 },
    context(),
  );
  return { volumeId, device: test.world.openTransport(transport) };
}

/** What a volume that nobody has attached holds. */
export async function contentOf(test: TestRecovery, volumeId: string, generation: number): Promise<Buffer> {
  const storage = test.world.storage("pool");
  const { transport } = await storage.attachVolume(
    { volumeId, host: "host-2", access: "readOnly", generation },
    context(),
  );
  const device = test.world.openTransport(transport);
  const content = Buffer.from(await device.read(0, device.capacityBytes));
  await storage.detachVolume({ volumeId, host: "host-2", generation }, context());
  return content;
}

/** Restores a disk of a point into a new volume, and returns what that holds. */
export async function restoredContent(
  test: TestRecovery,
  point: RecoveryPoint,
  diskId: string,
  name: string,
): Promise<Buffer> {
  const target = { kind: "new", storage: "pool", name } as const;
  const { recoveryPointId } = point;
  const { disks } = await test.provider.restore({ recoveryPointId, disks: [{ diskId, target }] }, context());
  const [disk] = disks;
  if (disk === undefined) throw new Error("nothing was restored");
  return contentOf(test, disk.volumeId, disk.generation + 1);
}

/** Snapshots and checkpoints that a volume has. */
export async function tracesOn(
  test: TestRecovery,
  volumeId: string,
): Promise<{ snapshots: number; checkpoints: number }> {
  const { facets } = test.world.storage("pool");
  const snapshots = await facets?.snapshots?.listSnapshots({ volumeId }, context());
  const checkpoints = await facets?.changedBlocks?.listCheckpoints({ volumeId }, context());
  return { snapshots: snapshots?.items.length ?? 0, checkpoints: checkpoints?.length ?? 0 };
}
