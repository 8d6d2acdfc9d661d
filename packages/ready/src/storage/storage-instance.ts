import { isVdcError, type JsonObject } from "@vdc-os/core";
import type {
  Attachment,
  AttachVolume,
  CreateVolume,
  ImageFile,
  Snapshot,
  StorageProvider,
  Volume,
  VolumeTransport,
} from "@vdc-os/core/storage/v1";
import { must } from "../suite/must.ts";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";

/** A connection to an attached volume, as its owner's VM would have one. Offsets and lengths are bytes, and multiples of 4096 here. */
export interface BlockClient {
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Gives a range up, as a guest's UNMAP: it reads as zeroes then. Absent where the way of attaching has no such request. */
  discard?(offset: number, length: number): Promise<void>;
  /** Resolves when what was written is durable. */
  flush(): Promise<void>;
  /** Never rejects, also when the connection was cut. */
  close(): Promise<void>;
}

/** A provider that can be killed. */
export interface KillableStorageProvider {
  readonly implementation: StorageProvider;
  /** Ends its process by SIGKILL, and opens what it left. */
  kill(): Promise<StorageProvider>;
  /** What is there beside what an empty pool needs: files, by their names. Defaults to nothing. */
  leftovers?(): readonly string[];
}

/** What the factory gives for the storage suite. Nothing may be in the pool, and 256 MiB must fit in it. */
export interface StorageInstance extends Instance<StorageProvider> {
  /** Two hosts on which volumes can be attached. */
  readonly hosts: readonly [string, string];
  /** Connects to a volume as a transport says: the suite knows no wire protocol. Rejects when the provider refuses. */
  openTransport(transport: VolumeTransport): Promise<BlockClient>;
  /** Ends the provider as `kill -9` would, or as near to that as can be, and opens what it left. Called again, it ends the one that it opened. */
  reopen(): Promise<StorageProvider>;
  /** Another provider, with a pool of its own, for the same hosts, in a process of its own. Without it kills in the middle of a call are tried with `reopen`. */
  killable?(): Promise<KillableStorageProvider>;
  /** A path on the provider's host at which nothing is. Without it facet `importExport` is not tried, and the verdict is `partial`. */
  imagePath?(name: string): string;
  /** Images that must be refused: with backing files, external data, of another format than stated. */
  readonly hostileImages?: readonly ImageFile[] | undefined;
  /** Ends the process that serves an attachment as `kill -9` would. Without it what must survive that is not tried, and the verdict is `partial`. */
  killStorageProcess?(attachment: Attachment): Promise<void>;
  /** An instance whose pool has room for 4 MiB of data at least and 64 MiB at most. Without it running out of space is not tried. */
  small?(): Promise<StorageInstance> | StorageInstance;
  /** The clock of the data path, in milliseconds: limits are measured with it. Defaults to that of the machine. */
  nowMs?(): number;
  /** Two references of keys that the provider can read. Without them facet `encryption` is not tried in full. */
  readonly keyRefs?: readonly [string, string] | undefined;
}

/** A requirement of the storage suite. */
export type StorageRequirement = Requirement<StorageProvider, StorageInstance>;

/** What a storage requirement works with. */
export type StorageTest = SuiteTest<StorageProvider, StorageInstance>;

export const mib: number = 1024 * 1024;

/** The unit in which requirements read and write. */
export const blockBytes = 4096;

/** A block of one byte's value. */
export function blockOf(value: number): Uint8Array {
  return new Uint8Array(blockBytes).fill(value);
}

/** Creates a volume of 4 MiB, unless something else is asked for. */
export function create(test: StorageTest, name: string, more: Partial<CreateVolume> = {}): Promise<Volume> {
  return test.provider.createVolume({ name, capacityBytes: 4 * mib, ...more }, test.operation());
}

/** Attaches a volume for writing to the first host, unless something else is asked for. */
export function attach(
  test: StorageTest,
  volumeId: string,
  generation: number,
  more: Partial<AttachVolume> & { readonly provider?: StorageProvider } = {},
): Promise<Attachment> {
  const { provider = test.provider, ...input } = more;
  return provider.attachVolume(
    { volumeId, host: test.instance.hosts[0], access: "readWrite", generation, ...input },
    test.operation(),
  );
}

/** Detaches what {@link attach} attached. */
export async function detach(test: StorageTest, { volumeId, host, generation }: Attachment): Promise<void> {
  await test.provider.detachVolume({ volumeId, host, generation }, test.operation());
}

/** Writes blocks of one byte's value each, by block number, flushes, and detaches. */
export async function writeBlocks(
  test: StorageTest,
  volumeId: string,
  generation: number,
  blocks: Readonly<Record<number, number>>,
): Promise<void> {
  const attachment = await attach(test, volumeId, generation);
  const client = await test.instance.openTransport(attachment.transport);
  try {
    for (const [block, value] of Object.entries(blocks)) await client.write(Number(block) * blockBytes, blockOf(value));
    await client.flush();
  } finally {
    await client.close();
  }
  await detach(test, attachment);
}

/** Fails unless the blocks of a volume, which is attached read-only meanwhile, have these bytes. */
export async function mustHold(
  test: StorageTest,
  volumeId: string,
  generation: number,
  blocks: Readonly<Record<number, number>>,
): Promise<void> {
  const attachment = await attach(test, volumeId, generation, { access: "readOnly" });
  const client = await test.instance.openTransport(attachment.transport);
  try {
    await mustRead(client, blocks);
  } finally {
    await client.close();
  }
  await detach(test, attachment);
}

/** Fails unless the blocks that a client reads have these bytes. */
export async function mustRead(client: BlockClient, blocks: Readonly<Record<number, number>>): Promise<void> {
  for (const [block, value] of Object.entries(blocks)) {
    const data = await client.read(Number(block) * blockBytes, blockBytes);
    must(data.length === blockBytes, `a read of ${blockBytes} bytes must return them, and returns ${data.length}`);
    const wrong = data.findIndex((byte) => byte !== value);
    must(wrong < 0, `block ${block} must hold ${value} throughout, and holds ${data[wrong]} at ${wrong}`);
  }
}

/** Fails unless a client is cut off: neither writes nor flushes go through. */
export async function mustBeCutOff(client: BlockClient, who: string): Promise<void> {
  let written = true;
  try {
    await client.write(0, blockOf(0xee));
  } catch {
    written = false;
  }
  must(!written, `a write of ${who} must be refused, and succeeds`);
}

/** Fails unless nobody can connect by a transport any more. */
export async function mustNotConnect(test: StorageTest, transport: VolumeTransport, who: string): Promise<void> {
  let client: BlockClient;
  try {
    client = await test.instance.openTransport(transport);
  } catch {
    return;
  }
  try {
    await mustBeCutOff(client, who);
  } finally {
    await client.close();
  }
}

/** The names of a provider's volumes, in the order of its list. */
export async function namesOf(test: StorageTest): Promise<readonly string[]> {
  return (await test.provider.listVolumes({}, test.operation())).items.map(({ name }) => name);
}

/** The limits that the provider states for a facet; none when it is not available. */
export function limitsOf(test: StorageTest, facet: string): JsonObject {
  const availability = test.description.facets[facet];
  return availability?.status === "available" ? availability.limits : {};
}

/** Whether a facet can work from a kind of source: a volume, unless its limits say more. */
export function takesSource(test: StorageTest, facet: "layering" | "clones", kind: "volume" | "snapshot"): boolean {
  const kinds = limitsOf(test, facet)[facet === "layering" ? "parents" : "sources"] ?? ["volume"];
  return Array.isArray(kinds) && kinds.includes(kind);
}

/** Takes a snapshot. */
export function snapshotOf(test: StorageTest, name: string, volumeId: string, more = {}): Promise<Snapshot> {
  return test.facet("snapshots").createSnapshot({ name, volumeId, ...more }, test.operation());
}

/** Does something with a client that reads a snapshot. Not applicable when the provider can't show a snapshot. */
export async function readSnapshot<T>(
  test: StorageTest,
  { snapshotId }: Snapshot,
  work: (client: BlockClient) => Promise<T>,
): Promise<T> {
  if (limitsOf(test, "snapshots").read === false) test.notApplicable("the provider says that snapshots can't be read");
  const host = test.instance.hosts[1];
  const { transport } = await test.facet("snapshots").attachSnapshot({ snapshotId, host }, test.operation());
  const client = await test.instance.openTransport(transport);
  try {
    return await work(client);
  } finally {
    await client.close();
    await test.facet("snapshots").detachSnapshot({ snapshotId, host }, test.operation());
  }
}

/** Fails unless the blocks of a snapshot have these bytes. */
export function mustHoldInSnapshot(
  test: StorageTest,
  snapshot: Snapshot,
  blocks: Readonly<Record<number, number>>,
): Promise<void> {
  return readSnapshot(test, snapshot, (client) => mustRead(client, blocks));
}

/** Does something with a client of a volume that is attached for writing meanwhile. */
export async function whileWritten<T>(
  test: StorageTest,
  volumeId: string,
  generation: number,
  work: (client: BlockClient, attachment: Attachment) => Promise<T>,
): Promise<T> {
  const attachment = await attach(test, volumeId, generation);
  const client = await test.instance.openTransport(attachment.transport);
  try {
    return await work(client, attachment);
  } finally {
    await client.close();
    await detach(test, attachment);
  }
}

/** The test, with another provider: the same pool after a restart. */
export function withProvider(test: StorageTest, provider: StorageProvider): StorageTest {
  return {
    ...test,
    provider,
    facet(name) {
      const facet = provider.facets?.[name as keyof typeof provider.facets];
      must(facet !== undefined, `facet '${name}' must be there after a restart`);
      return facet as ReturnType<StorageTest["facet"]> as never;
    },
  };
}

/** The names of the blockers that an error states. */
export function blockerNames(error: Error): readonly string[] {
  return isVdcError(error) ? error.blockers.map(({ name }) => name) : [];
}

/** Whether the provider says that old owners are kept out at all. */
export function fences(test: StorageTest): boolean {
  return test.description.attributes.fencing !== "none";
}
