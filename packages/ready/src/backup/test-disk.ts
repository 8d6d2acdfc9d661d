import { createHash } from "node:crypto";
import type { CallOptions } from "@vdc-os/core";
import type {
  BackupDisk,
  BackupRepository,
  CreateRecoveryPoint,
  RecoveryPoint,
  RestoredDisk,
  RestoreTarget,
} from "@vdc-os/core/backup/v1";
import type { Attachment } from "@vdc-os/core/storage/v1";
import type { BlockClient } from "../storage/storage-instance.ts";
import { must, mustEqual } from "../suite/must.ts";
import type { BackupStorage, BackupTest } from "./backup-instance.ts";

export const kib = 1024;
export const mib: number = 1024 * kib;

/** A disk's size, unless something else is asked for: no multiple of any chunk. */
export const diskBytes: number = 2 * mib + 4 * kib;

/** The size of a disk that takes a while to be read. */
export const longBytes: number = 4 * mib;

const pieceBytes = mib;
const blockBytes = 4 * kib;

/** A disk that a VM has: a volume that is attached, with some content. */
export interface TestDisk {
  readonly storage: BackupStorage;
  readonly volumeId: string;
  readonly attachment: Attachment;
  /** What it holds. */
  readonly content: Uint8Array;
}

/** What differs from a disk as it is usually made. */
export interface MakeDiskOptions {
  readonly storage?: BackupStorage;
  readonly bytes?: number;
  /** Which content. Defaults to one by the name. */
  readonly content?: Uint8Array;
}

/** Blocks of noise, of zeroes and repeated ones, the same for the same seed; the first and the last are noise, and much of it can't be compressed. */
export function contentOf(seed: string, bytes: number = diskBytes): Uint8Array {
  const content = new Uint8Array(bytes);
  const count = bytes / blockBytes;
  for (let block = 0; block < count; block++) {
    const edge = block === 0 || block === count - 1;
    // A stretch of zeroes that is longer than any chunk, and zeroes here and there.
    const zero = (block > count * 0.4 && block < count * 0.7) || block % 7 === 3;
    if (zero && !edge) continue;
    content.set(noise(block % 11 === 5 && !edge ? seed : `${seed} ${block}`), block * blockBytes);
  }
  return content;
}

/** A block of bytes that look like chance, the same for the same seed. */
export function noise(seed: string): Uint8Array {
  return createHash("shake256", { outputLength: blockBytes }).update(seed).digest();
}

/** Makes a volume, attaches it in generation 1, and writes its content. */
export async function makeDisk(test: BackupTest, name: string, options: MakeDiskOptions = {}): Promise<TestDisk> {
  const { storage = test.instance.storage, bytes = diskBytes, content = contentOf(name, bytes) } = options;
  const { provider, host } = storage;
  const { volumeId } = await provider.createVolume({ name, capacityBytes: bytes }, test.operation());
  const attachment = await provider.attachVolume(
    { volumeId, host, access: "readWrite", generation: 1 },
    test.operation(),
  );
  const disk = { storage, volumeId, attachment, content };
  await withClient(disk, (client) => writeAll(client, content));
  return disk;
}

/** Writes into a disk, and returns it with what it holds then. */
export async function change(disk: TestDisk, offset: number, data: Uint8Array): Promise<TestDisk> {
  const content = disk.content.slice();
  content.set(data, offset);
  await withClient(disk, async (client) => {
    await client.write(offset, data);
    await client.flush();
  });
  return { ...disk, content };
}

/** Overwrites the whole of a disk. */
export async function rewrite(disk: TestDisk, content: Uint8Array): Promise<TestDisk> {
  await withClient(disk, (client) => writeAll(client, content, true));
  return { ...disk, content };
}

/** Works with a client of a disk, as its VM does. */
export async function withClient<T>(disk: TestDisk, work: (client: BlockClient) => Promise<T>): Promise<T> {
  const client = await disk.storage.openTransport(disk.attachment.transport);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Takes a disk away from its VM. */
export async function detach(test: BackupTest, { storage, attachment }: TestDisk): Promise<void> {
  const { volumeId, host, generation } = attachment;
  await storage.provider.detachVolume({ volumeId, host, generation }, test.operation());
}

/** Disks as `createRecoveryPoint` wants them: `disk0`, `disk1`. */
export function entriesOf(...disks: readonly TestDisk[]): readonly BackupDisk[] {
  return disks.map(({ storage, volumeId }, i) => ({ diskId: `disk${i}`, storage: storage.name, volumeId }));
}

/** What a point is made with, besides its name and disks. */
export interface BackUpOptions extends Partial<CreateRecoveryPoint> {
  readonly provider?: BackupRepository;
  readonly call?: CallOptions;
}

/** Makes a point of subject `vm`, unless something else is asked for. */
export function backUp(
  test: BackupTest,
  name: string,
  disks: readonly BackupDisk[],
  options: BackUpOptions = {},
): Promise<RecoveryPoint> {
  const { provider = test.provider, call, ...more } = options;
  return provider.createRecoveryPoint({ name, subject: "vm", disks, ...more }, test.operation(call));
}

/** Restores one disk of a point. */
export async function restoreOne(
  test: BackupTest,
  { recoveryPointId }: Pick<RecoveryPoint, "recoveryPointId">,
  target: RestoreTarget,
  options: { readonly diskId?: string; readonly provider?: BackupRepository; readonly call?: CallOptions } = {},
): Promise<RestoredDisk> {
  const { diskId = "disk0", provider = test.provider, call } = options;
  const { disks } = await provider.restore({ recoveryPointId, disks: [{ diskId, target }] }, test.operation(call));
  mustEqual(disks.length, 1, "the number of disks that were restored");
  return disks[0] as RestoredDisk;
}

let restores = 0;

/** Fails unless a point's disk, restored into a new volume, is bit for bit what it shall be. The volume is removed again. */
export async function mustRestore(
  test: BackupTest,
  point: Pick<RecoveryPoint, "recoveryPointId">,
  content: Uint8Array,
  options: { readonly diskId?: string; readonly provider?: BackupRepository } = {},
): Promise<void> {
  const { storage } = test.instance;
  const name = `again-${++restores}`;
  const restored = await restoreOne(test, point, { kind: "new", storage: storage.name, name }, options);
  const found = await readRestored(test, restored);
  mustBe(found, content, `disk '${restored.diskId}' that was restored`);
  await storage.provider.deleteVolume({ volumeId: restored.volumeId }, test.operation());
}

/** What a volume holds that was restored, attached in the next generation meanwhile. */
export function readRestored(
  test: BackupTest,
  { volumeId, capacityBytes, generation }: RestoredDisk,
  storage: BackupStorage = test.instance.storage,
): Promise<Uint8Array> {
  return readVolume(test, storage, { volumeId, bytes: capacityBytes, generation: generation + 1 });
}

/** What a volume holds that nobody has attached. */
export async function readVolume(
  test: BackupTest,
  storage: BackupStorage,
  { volumeId, bytes, generation }: { readonly volumeId: string; readonly bytes: number; readonly generation: number },
): Promise<Uint8Array> {
  const { provider, host } = storage;
  const attachment = await provider.attachVolume({ volumeId, host, access: "readOnly", generation }, test.operation());
  const client = await storage.openTransport(attachment.transport);
  try {
    return await readAll(client, bytes);
  } finally {
    await client.close();
    await provider.detachVolume({ volumeId, host, generation }, test.operation());
  }
}

/** Fails unless two contents are the same, and says where they begin to differ. */
export function mustBe(found: Uint8Array, content: Uint8Array, what: string): void {
  mustEqual(found.length, content.length, `the bytes of ${what}`);
  if (Buffer.compare(found, content) === 0) return;
  const at = found.findIndex((byte, i) => byte !== content[i]);
  must(false, `${what} must be what was backed up, and differs at byte ${at}: ${found[at]} in place of ${content[at]}`);
}

/** What anybody holds of a volume: names of snapshots and checkpoints, and in which generation it is attached. */
export interface Traces {
  readonly snapshots: readonly string[];
  readonly checkpoints: readonly string[];
  readonly generation: number | undefined;
}

export async function tracesOn(
  test: BackupTest,
  { storage, volumeId }: Pick<TestDisk, "storage" | "volumeId">,
): Promise<Traces> {
  const { provider } = storage;
  const { snapshots, changedBlocks } = provider.facets ?? {};
  const { attachment } = await provider.getAttachment({ volumeId }, test.operation());
  const taken = (await snapshots?.listSnapshots({ volumeId }, test.operation()))?.items ?? [];
  const tracked = (await changedBlocks?.listCheckpoints({ volumeId }, test.operation())) ?? [];
  return {
    snapshots: taken.map(({ name }) => name),
    checkpoints: tracked.map(({ name }) => name),
    generation: attachment?.generation,
  };
}

/** The names of a storage's volumes. */
export async function volumesOf(test: BackupTest, storage: BackupStorage): Promise<readonly string[]> {
  return (await storage.provider.listVolumes({}, test.operation())).items.map(({ name }) => name);
}

/** The names of all points, or those of a subject. */
export async function pointNames(
  test: BackupTest,
  provider: BackupRepository = test.provider,
): Promise<readonly string[]> {
  return (await provider.listRecoveryPoints({}, test.operation())).items.map(({ name }) => name);
}

export async function readAll(client: BlockClient, bytes: number): Promise<Uint8Array> {
  const content = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += pieceBytes) {
    content.set(await client.read(at, Math.min(pieceBytes, bytes - at)), at);
  }
  return content;
}

async function writeAll(client: BlockClient, content: Uint8Array, zeroesToo = false): Promise<void> {
  for (let at = 0; at < content.length; at += 64 * kib) {
    const piece = content.subarray(at, at + 64 * kib);
    if (zeroesToo || piece.some((byte) => byte !== 0)) await client.write(at, piece);
  }
  await client.flush();
}
