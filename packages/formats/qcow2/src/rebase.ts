import { readUint64, writeUint64 } from "./entry.ts";
import { EXTENSION_FEATURE_NAMES } from "./features.ts";
import { EXTENSION_BACKING_FORMAT } from "./header.ts";
import { assertBackingName, headerTail, type NewBacking } from "./header-layout.ts";
import { type ImageCore, prepareWriter } from "./image-core.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/** A disk writes a sector whole or not at all. */
const SECTOR_BYTES = 512;

/**
 * Changes the backing reference in the header, durably and in one sector, so that a crash leaves the old reference or the new one.
 * Everything written before is flushed first. The table of feature names, which is a courtesy to readers, gives way when space is short.
 * Errors: `INVALID_ARGUMENT` when the name does not fit in the first sector.
 */
export function writeBackingReference(core: ImageCore, backing: NewBacking | undefined): void {
  const writer = prepareWriter(core);
  writer.barrier.flushSync();
  const { header, file } = core;
  if (backing === undefined) {
    // Twelve bytes; the format extension stays behind and means nothing without a name.
    file.writeSync(Buffer.alloc(12), 8);
    file.syncSync();
    core.header = { ...header, backing: undefined };
    return;
  }
  assertBackingName(backing.path, core.geometry.clusterSize);
  const kept = header.extensions.filter((extension) => extension.type !== EXTENSION_BACKING_FORMAT);
  const essential = kept.filter((extension) => extension.type !== EXTENSION_FEATURE_NAMES);
  const [tail, extensions] = [kept, essential]
    .map((list) => [headerTail(header.headerLength, list, backing), list] as const)
    .find(([candidate]) => header.headerLength + candidate.bytes.length <= SECTOR_BYTES) ?? [undefined, kept];
  if (tail === undefined) {
    throw new Qcow2Error("INVALID_ARGUMENT", `backing name '${backing.path}' is too long to be changed safely`);
  }
  const sector = Buffer.alloc(SECTOR_BYTES);
  file.readSync(sector, 0);
  tail.bytes.copy(sector, header.headerLength);
  sector.fill(0, header.headerLength + tail.bytes.length);
  writeUint64(sector, tail.nameOffset, 8);
  sector.writeUInt32BE(tail.nameLength, 16);
  if (readUint64(sector, 8) === undefined)
    throw new Qcow2Error("HEADER_INVALID", `'${file.path}' has no room for a name`);
  file.writeSync(sector, 0);
  file.syncSync();
  core.header = { ...header, backing, extensions };
}

/** What a snapshot does not hold it reads from below, so the backing has to stay. Errors: `INVALID_ARGUMENT`. */
export function assertNoSnapshots(core: ImageCore): void {
  if (core.header.snapshotCount === 0) return;
  throw new Qcow2Error(
    "INVALID_ARGUMENT",
    `'${core.file.path}' has snapshots that need its backing, so it cannot be flattened`,
  );
}
