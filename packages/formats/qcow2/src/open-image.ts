import type { BackingRequest, BackingResolver } from "./backing.ts";
import type { BlockSource } from "./block-source.ts";
import { type DataFile, type DataFileResolver, openDataFile } from "./data-file.ts";
import { type FileLayer, type ImageFile, nodeFileLayer } from "./file-layer.ts";
import { assertOpenable, type Header, readHeader } from "./header.ts";
import { type ImageLock, isLockedForWriting, lockForWriting } from "./image-lock.ts";
import type { LuksCipher } from "./luks-cipher.ts";
import { type ImagePassphrase, passphrasesFor, unlock } from "./luks-unlock.ts";
import { shareWithQemu } from "./qemu-locks.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { RawSource } from "./raw-source.ts";

/** The longest chain that is followed. */
export const MAX_CHAIN_DEPTH = 256;

export interface OpenImageOptions {
  /** Defaults to false. */
  readonly readOnly?: boolean;
  /** What backing references mean. Without it, an image that has one is refused (`BACKING_REFUSED`). */
  readonly resolveBacking?: BackingResolver;
  /** Which file an external data file is. Without it, an image that has one is refused (`DATA_FILE_REFUSED`). */
  readonly resolveDataFile?: DataFileResolver;
  /**
   * The passphrase of an encrypted image and of those below it, or several of which one opens each of them, or what knows them by their paths. Without it, an
   * encrypted image is refused (`ENCRYPTED`). It is asked for again when `setBackingReference` opens another image.
   */
  readonly passphrase?: ImagePassphrase;
  /** Memory for L2 tables, and as much again for refcounts, per image of the chain. Defaults to 16 MiB. */
  readonly cacheBytes?: number;
  /**
   * Whether what was written survives the end of this process also when it was not flushed, as it does with a file that is written directly: a journal beside
   * the image keeps it, which the next opening for writing applies. A power loss ends it. Linux only. Defaults to false.
   */
  readonly journal?: boolean;
  /**
   * Whether a claim is taken against other processes, and QEMU's respected. Defaults to true; give false only where the file system layer
   * is not the real one or the caller fences otherwise.
   */
  readonly lock?: boolean;
  /**
   * Clusters that a crash leaked are given back: `"after-crash"` when the last writer left its claim behind (the default), `"always"`, or
   * `"never"`. Needs a pass over all tables.
   */
  readonly repairLeaks?: "after-crash" | "always" | "never";
  /** Defaults to the real file system. */
  readonly fileLayer?: FileLayer;
}

/** What opening needs to know about the images above. */
export interface ChainContext {
  readonly identities: ReadonlySet<string>;
  readonly depth: number;
}

/** An image's file with its header, claimed. */
export interface OpenedFile {
  readonly file: ImageFile;
  readonly header: Header;
  readonly lock: ImageLock | undefined;
  /** Where the guest's data lies when not in `file`. */
  readonly dataFile: DataFile | undefined;
}

/** Opens and claims a qcow2 file and reads its header. Leaves nothing open or claimed when it throws. */
export function openImageFile(path: string, write: boolean, options: OpenImageOptions): OpenedFile {
  const layer = options.fileLayer ?? nodeFileLayer;
  const locking = options.lock !== false;
  const file = layer.openSync(path, { write });
  let lock: ImageLock | undefined;
  try {
    const header = readHeader(file);
    assertOpenable(header, path, write);
    if (header.encryption === "luks") passphrasesFor(file, options.passphrase);
    if (locking) {
      shareWithQemu(file, write);
      if (write) lock = lockForWriting(path);
      else if (isLockedForWriting(path)) throw new Qcow2Error("IN_USE", `'${path}' is open for writing`);
    }
    const dataFile = openDataFile(file, header, {
      write,
      resolveDataFile: options.resolveDataFile,
      fileLayer: layer,
      lock: locking,
    });
    return { file, header, lock, dataFile };
  } catch (error) {
    // A crash of the last writer must not be forgotten because this opening failed.
    lock?.release(!lock.previousOwnerCrashed);
    file.closeSync();
    throw error;
  }
}

/** Closes what was opened, when it cannot be used after all. */
export function releaseOpened(opened: OpenedFile): void {
  opened.file.closeSync();
  opened.dataFile?.closeSync();
  // A crash of the last writer must not be forgotten because this opening failed.
  opened.lock?.release(!opened.lock.previousOwnerCrashed);
}

/** What decrypts an opened file, where it is encrypted. Closes it when it throws. */
export async function unlockImage(opened: OpenedFile, options: OpenImageOptions): Promise<LuksCipher | undefined> {
  const { file, header } = opened;
  if (header.encryption !== "luks") return undefined;
  try {
    return await unlock(file, header.encryptionHeader, options.passphrase);
  } catch (error) {
    releaseOpened(opened);
    throw error;
  }
}

/** Opens one qcow2 image of a chain; given in, since an image opens its backing and a backing is an image. */
export type OpenLayer = (path: string, context: ChainContext) => Promise<BlockSource>;

/** Opens what an image's header names as its backing, if it names any. Errors: `BACKING_*`, and those of opening. */
export async function openBacking(
  opened: { readonly file: ImageFile; readonly header: Header },
  options: OpenImageOptions,
  context: ChainContext,
  openLayer: OpenLayer,
): Promise<BlockSource | undefined> {
  const { file, header } = opened;
  const reference = header.backing;
  if (reference === undefined) return undefined;
  const request: BackingRequest = { reference, imagePath: file.path, depth: context.depth + 1 };
  if (request.depth > MAX_CHAIN_DEPTH) {
    throw new Qcow2Error("BACKING_TOO_DEEP", `'${file.path}': the chain is deeper than ${MAX_CHAIN_DEPTH} images`);
  }
  const resolved = options.resolveBacking?.(request);
  if (resolved === undefined) {
    const why = options.resolveBacking ? "the resolver refuses it" : "no resolver was given";
    throw new Qcow2Error("BACKING_REFUSED", `'${file.path}' names the backing '${reference.path}', but ${why}`);
  }
  if ("source" in resolved) return resolved.source;
  const layer = options.fileLayer ?? nodeFileLayer;
  const identities = new Set(context.identities).add(file.status().identity);
  let probe: ImageFile;
  try {
    probe = layer.openSync(resolved.path, { write: false });
  } catch (error) {
    if (!(error instanceof Qcow2Error)) throw error;
    const code = error.code === "NOT_FOUND" ? "BACKING_MISSING" : "BACKING_REFUSED";
    throw new Qcow2Error(code, `the backing of '${file.path}': ${error.message}`, { cause: error });
  }
  try {
    if (identities.has(probe.status().identity)) {
      throw new Qcow2Error("BACKING_LOOP", `'${file.path}': its backing '${resolved.path}' is above it in the chain`);
    }
    if (options.lock !== false) {
      shareWithQemu(probe, false);
      if (isLockedForWriting(resolved.path)) {
        throw new Qcow2Error("IN_USE", `the backing '${resolved.path}' is open for writing`);
      }
    }
    if (resolved.format === "raw") return new RawSource(probe);
  } catch (error) {
    probe.closeSync();
    throw error;
  }
  probe.closeSync();
  return openLayer(resolved.path, { identities, depth: request.depth });
}
