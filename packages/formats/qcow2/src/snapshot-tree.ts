import { compressedRange, entryIsCompressed, entryIsCopied, entryOffset, setEntryCopied } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import type { Header } from "./header.ts";
import type { ImageWriter } from "./image-core.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { readTables } from "./table-words.ts";

/** The L2 tables that an L1 table names, with the number of entries that name each. Errors: `CORRUPT`. */
function tablesOf(file: ImageFile, header: Header, l1: Buffer): Map<number, number> {
  const tables = new Map<number, number>();
  for (let at = 0; at < l1.length; at += 8) {
    const offset = entryOffset(l1, at);
    if (offset === 0) continue;
    if (offset === undefined || offset % header.geometry.clusterSize !== 0) {
      throw new Qcow2Error("CORRUPT", `'${file.path}': L1 entry ${at / 8} is not valid`);
    }
    tables.set(offset, (tables.get(offset) ?? 0) + 1);
  }
  return tables;
}

/**
 * Calls `visit` with every host cluster that a tree of tables references, as often as it does: L2 tables and what they map, not the L1 table
 * itself. The file must hold everything. Errors: `CORRUPT`.
 */
export function visitTree(file: ImageFile, header: Header, l1: Buffer, visit: (cluster: number) => void): void {
  const { clusterSize, clusterBits, l2EntryBytes } = header.geometry;
  const tables = tablesOf(file, header, l1);
  for (const { offset: tableOffset, bytes } of readTables(file, [...tables.keys()], clusterSize)) {
    for (let times = tables.get(tableOffset) ?? 0; times > 0; times--) {
      visit(tableOffset / clusterSize);
      for (let at = 0; at < bytes.length; at += l2EntryBytes) {
        if (entryIsCompressed(bytes, at)) {
          const range = compressedRange(bytes, at, clusterBits);
          if (range === undefined) throw invalidEntry(file, tableOffset, at);
          const last = Math.floor((range.offset + range.length - 1) / clusterSize);
          for (let cluster = Math.floor(range.offset / clusterSize); cluster <= last; cluster++) visit(cluster);
          continue;
        }
        // What lies in an external data file has no refcount here.
        if (header.dataFile !== undefined) continue;
        const host = entryOffset(bytes, at);
        if (host === 0) continue;
        if (host === undefined || host % clusterSize !== 0) throw invalidEntry(file, tableOffset, at);
        visit(host / clusterSize);
      }
    }
  }
}

function invalidEntry(file: ImageFile, tableOffset: number, at: number): Qcow2Error {
  return new Qcow2Error("CORRUPT", `'${file.path}': the L2 entry at ${tableOffset + at} is not valid`);
}

/** Adds one reference to everything in a tree. Errors: `REFCOUNT_LIMIT`, `CORRUPT`; nothing has changed then. */
export function addReferences(file: ImageFile, header: Header, l1: Buffer, writer: ImageWriter): void {
  const { refcounts } = writer;
  const done: number[] = [];
  const undo = (): void => {
    for (const cluster of done) refcounts.set(cluster, refcounts.get(cluster) - 1);
  };
  try {
    visitTree(file, header, l1, (cluster) => {
      const count = refcounts.get(cluster);
      if (count === 0) {
        throw new Qcow2Error("CORRUPT", `'${file.path}': host cluster ${cluster} is in use and its refcount is zero`);
      }
      refcounts.set(cluster, count + 1);
      done.push(cluster);
    });
  } catch (error) {
    undo();
    throw error;
  }
}

/**
 * Makes the copied flags of a tree, in the file and in `l1`, say whether each refcount is exactly one. With `l1Offset`, the L1 table is written
 * too where it changed. The caller syncs.
 */
export function alignCopiedFlags(
  file: ImageFile,
  header: Header,
  tree: { readonly l1: Buffer; readonly l1Offset: number | undefined },
  writer: ImageWriter,
): void {
  const { clusterSize, l2EntryBytes } = header.geometry;
  const { refcounts } = writer;
  const { l1, l1Offset } = tree;
  let l1Changed = false;
  const tables = tablesOf(file, header, l1);
  for (let at = 0; at < l1.length; at += 8) {
    const offset = entryOffset(l1, at) ?? 0;
    if (offset === 0) continue;
    const copied = refcounts.get(offset / clusterSize) === 1;
    if (copied === entryIsCopied(l1, at)) continue;
    setEntryCopied(l1, at, copied);
    l1Changed = true;
  }
  for (const { offset, bytes } of readTables(file, [...tables.keys()], clusterSize)) {
    let first = bytes.length;
    let end = 0;
    for (let at = 0; at < bytes.length; at += l2EntryBytes) {
      if (entryIsCompressed(bytes, at)) continue;
      const host = entryOffset(bytes, at);
      if (host === undefined || host === 0) continue;
      const copied = refcounts.get(Math.floor(host / clusterSize)) === 1;
      if (copied === entryIsCopied(bytes, at)) continue;
      setEntryCopied(bytes, at, copied);
      first = Math.min(first, at);
      end = at + 8;
    }
    if (end > first) file.writeSync(bytes.subarray(first, end), offset + first);
  }
  if (l1Changed && l1Offset !== undefined) file.writeSync(l1, l1Offset);
}
