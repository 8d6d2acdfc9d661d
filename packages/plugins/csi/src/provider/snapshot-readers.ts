import { type OperationContext, VdcError } from "@vdc-os/core";
import type { SnapshotAttachment } from "@vdc-os/core/storage/v1";
import type { MakeVolume } from "../driver/csi-driver.ts";
import type { Stored } from "./csi-catalog.ts";
import type { SnapshotReader, SnapshotRecord } from "./records.ts";
import { toContentSource, type VolumeEngine } from "./volume-engine.ts";

/** A snapshot that is to be read, and where. */
interface SnapshotOnHost {
  readonly snapshotId: string;
  readonly host: string;
}

/**
 * CSI gives nobody a snapshot to read. A volume is made of it for the reader alone, and published for reading: for many drivers that is a copy. What was begun is on
 * record, so that it is finished or ended by a later call.
 */
export async function attachSnapshot(
  engine: VolumeEngine,
  { snapshotId, host }: SnapshotOnHost,
  context: OperationContext,
): Promise<SnapshotAttachment> {
  const { catalog, driver, publisher } = engine;
  let stored = await catalog.snapshot(snapshotId, context);
  const present = stored.value.readers[host];
  if (present?.publication?.transport !== undefined) {
    return { snapshotId, host, transport: present.publication.transport };
  }
  // A host that is not there costs nothing.
  await publisher.nodeInfo(host, context);
  let reader: SnapshotReader = present ?? {
    backing: {
      csiName: `vdc-${context.random.uuid()}`,
      volumeContext: {},
      csiSource: { kind: "snapshot", csiId: stored.value.csiId as string },
    },
  };
  const keep = async (next: SnapshotReader): Promise<void> => {
    reader = next;
    stored = await withReader(engine, stored, host, next, context);
  };
  if (present === undefined) await keep(reader);
  if (reader.backing.csiId === undefined) {
    const made = await driver.makeVolume(readerVolume(engine, stored.value, reader), context);
    const { volumeId: csiId, volumeContext } = made;
    await keep({ backing: { ...reader.backing, csiId, volumeContext: { ...volumeContext } } });
  }
  const csiId = reader.backing.csiId as string;
  if (reader.publication === undefined) {
    const key = reader.backing.csiName;
    const publication = await publisher.plan(
      { host, csiId, access: "readOnly", stageKey: key, targetKey: key },
      context,
    );
    await keep({ ...reader, publication });
  }
  const planned = reader.publication as NonNullable<SnapshotReader["publication"]>;
  const publication = await publisher.publish(planned, reader.backing.volumeContext, context);
  await keep({ ...reader, publication });
  if (publication.transport === undefined) throw new VdcError("INTERNAL", "a publication has no transport");
  return { snapshotId, host, transport: publication.transport };
}

/** Ends what {@link attachSnapshot} has begun, however far that came. */
export async function detachSnapshot(
  engine: VolumeEngine,
  { snapshotId, host }: SnapshotOnHost,
  context: OperationContext,
): Promise<void> {
  const { catalog, driver, publisher } = engine;
  const stored = await catalog.snapshots.find(snapshotId, context);
  const reader = stored?.value.readers[host];
  if (stored === undefined || reader === undefined) return;
  if (reader.publication !== undefined) await publisher.unpublish(reader.publication, context);
  const { csiId } = reader.backing;
  if (csiId === undefined) await driver.removeNamed(readerVolume(engine, stored.value, reader), context);
  else await driver.removeVolume(csiId, context);
  await withReader(engine, stored, host, undefined, context);
}

/** Throws `FAILED_PRECONDITION` while a host reads the snapshot, and names it. */
export function mustHaveNoReaders({ name, readers }: SnapshotRecord): void {
  const hosts = Object.keys(readers);
  if (hosts.length === 0) return;
  throw new VdcError("FAILED_PRECONDITION", `snapshot '${name}' is attached to host '${hosts.join("', '")}'`, {
    blockers: hosts.map((host) => ({ kind: "Host", name: host })),
  });
}

function readerVolume(engine: VolumeEngine, snapshot: SnapshotRecord, { backing }: SnapshotReader): MakeVolume {
  return {
    csiName: backing.csiName,
    capacityBytes: snapshot.capacityBytes,
    parameters: { ...engine.config.parameters },
    source: toContentSource(backing.csiSource),
    topologies: [],
  };
}

async function withReader(
  { catalog }: VolumeEngine,
  stored: Stored<SnapshotRecord>,
  host: string,
  reader: SnapshotReader | undefined,
  context: OperationContext,
): Promise<Stored<SnapshotRecord>> {
  const others = Object.entries(stored.value.readers).filter(([name]) => name !== host);
  const readers = Object.fromEntries(reader === undefined ? others : [...others, [host, reader]]);
  return catalog.snapshots.update(stored, { ...stored.value, readers }, context);
}
