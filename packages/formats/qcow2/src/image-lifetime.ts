import { BackingLayer } from "./backing-layer.ts";
import type { BlockSource } from "./block-source.ts";
import type { NewBacking } from "./header-layout.ts";
import { finishWriting, type ImageCore, loadImageCore, prepareWriter } from "./image-core.ts";
import type { ImageLock } from "./image-lock.ts";
import { repairLive } from "./live-check.ts";
import type { LuksCipher } from "./luks-cipher.ts";
import { hasJournal, journalSubjectOf, MappingJournal, readJournal, removeJournal } from "./mapping-journal.ts";
import {
  type ChainContext,
  type OpenedFile,
  type OpenImageOptions,
  openBacking,
  openImageFile,
  releaseOpened,
  unlockImage,
} from "./open-image.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { writeBackingReference } from "./rebase.ts";
import { repairOnOpening } from "./repair-on-opening.ts";
import { replayJournal } from "./replay-journal.ts";

/** An image from its opening to its closing: the files, the claim, the journal and the chain below it, which come and go together. */
export class ImageLifetime {
  readonly core: ImageCore;
  readonly #lock: ImageLock | undefined;
  readonly #options: OpenImageOptions;
  readonly #context: ChainContext;
  #closed = false;
  #closing: Promise<void> | undefined;

  private constructor(core: ImageCore, lock: ImageLock | undefined, options: OpenImageOptions, context: ChainContext) {
    this.core = core;
    this.#lock = lock;
    this.#options = options;
    this.#context = context;
  }

  /** Opens an image, and repairs first what a crash left. Errors: those of `Qcow2Image.open`. When it fails, nothing is open. */
  static async open(path: string, options: OpenImageOptions): Promise<ImageLifetime> {
    const opened = openImageFile(path, options.readOnly !== true, options);
    // Nothing is repaired in an image that can't be opened.
    const cipher = await unlockImage(opened, options);
    const context = { identities: new Set<string>(), depth: 0 };
    const mayHaveJournal = options.readOnly !== true && options.fileLayer === undefined && hasJournal(path);
    const records = mayHaveJournal ? readJournal(journalSubjectOf(opened.file, opened.header.geometry)) : [];
    if (records.length > 0) {
      // What the journal points to is not counted yet: a repair that came first would take it for free.
      const image = await ImageLifetime.#load({ ...opened, cipher }, { ...options, journal: false }, context);
      try {
        replayJournal(image.core, records);
        await repairLive(image.core, "all", {});
      } catch (error) {
        await image.#abandon();
        throw error;
      }
      await image.close();
      removeJournal(path);
      return ImageLifetime.open(path, options);
    }
    const header = await repairOnOpening(opened, options);
    if (mayHaveJournal) removeJournal(path);
    return ImageLifetime.#load({ ...opened, header, cipher }, options, context);
  }

  static async #load(
    opened: OpenedFile & { readonly cipher: LuksCipher | undefined },
    options: OpenImageOptions,
    context: ChainContext,
  ): Promise<ImageLifetime> {
    let backing: BlockSource | undefined;
    try {
      backing = await openBacking(opened, options, context, (lower, deeper) =>
        BackingLayer.open(lower, options, deeper),
      );
      const { cacheBytes = 16 * 1024 * 1024 } = options;
      const { file, dataFile, header, cipher } = opened;
      const write = options.readOnly !== true;
      const journal =
        write && options.journal ? MappingJournal.begin(journalSubjectOf(file, header.geometry)) : undefined;
      const core = loadImageCore({ file, dataFile, header, cipher, write, backing, cacheBytes, journal });
      return new ImageLifetime(core, opened.lock, options, context);
    } catch (error) {
      void backing?.close();
      releaseOpened(opened);
      throw error;
    }
  }

  /** Throws `CLOSED`. */
  assertOpen(): void {
    if (this.#closed) throw new Qcow2Error("CLOSED", `image '${this.core.file.path}' is closed`);
  }

  /** Names another image as the one below, durably, and opens it through the resolver. `undefined` drops the reference. */
  async replaceBacking(backing: NewBacking | undefined): Promise<void> {
    this.assertOpen();
    const { core } = this;
    prepareWriter(core);
    const header = { ...core.header, backing };
    const opened = await openBacking({ file: core.file, header }, this.#options, this.#context, (lower, deeper) =>
      BackingLayer.open(lower, this.#options, deeper),
    );
    const old = core.backing;
    try {
      this.assertOpen();
      writeBackingReference(core, backing);
    } catch (error) {
      await opened?.close();
      throw error;
    }
    core.backing = opened;
    await old?.close();
  }

  /** Flushes, and lets go of everything, whether or not that succeeds. Closing twice is no error. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    let clean = false;
    try {
      await this.core.writer?.barrier.flush();
      // From here on synchronously, so that no write can come between.
      if (!this.#closed) finishWriting(this.core);
      this.core.options.journal?.close();
      clean = true;
    } finally {
      await this.#abandon(clean);
    }
  }

  async #abandon(clean = false): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.core.options.journal?.abandon();
    this.core.file.closeSync();
    if (this.core.data !== this.core.file) this.core.data.closeSync();
    this.#lock?.release(clean);
    await this.core.backing?.close();
  }
}
