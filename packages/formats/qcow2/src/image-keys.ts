import { pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { type ImageCore, prepareWriter } from "./image-core.ts";
import {
  type EncryptionHeaderPlace,
  encodeSlot,
  LUKS_SALT_BYTES,
  type LuksHeader,
  type LuksSlot,
  luksMaterialBytes,
  readLuksHeader,
  slotPosition,
} from "./luks-header.ts";
import { checkPassphrase, openSlot, type PassphraseOptions, sealKey, wrongPassphrase } from "./luks-unlock.ts";
import { Qcow2Error } from "./qcow2-error.ts";

const derive = promisify(pbkdf2);

/** The change of a passphrase. */
export interface PassphraseChange extends PassphraseOptions {
  readonly current: Uint8Array;
  readonly next: Uint8Array;
}

/**
 * The passphrases of an encrypted image. The data is encrypted by a master key that never changes; each passphrase keeps a copy of it, in one of eight slots. The image
 * may be in use meanwhile. Errors of every method: `INVALID_ARGUMENT` for an image that is not encrypted, and those of writing.
 */
export class ImageKeys {
  readonly #use: () => ImageCore;
  #last: Promise<unknown> = Promise.resolve();

  constructor(use: () => ImageCore) {
    this.#use = use;
  }

  /** How many passphrases the image has. */
  count(): number {
    return this.#read().header.slots.filter((slot) => slot.active).length;
  }

  /**
   * Makes the image open with `next` and no longer with `current`, durably. Killed at any moment, the image opens with at least one of them, and a repeat
   * completes what was begun. What keeps old copies of sectors (flash, copy-on-write file systems, backups) may keep the old passphrase's.
   * Errors: `WRONG_PASSPHRASE` when neither opens the image, `INVALID_ARGUMENT`, `TOO_LARGE` when all eight slots are taken.
   */
  change(change: PassphraseChange): Promise<void> {
    const done = this.#last.then(() => this.#change(change));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #change({ current, next, ...options }: PassphraseChange): Promise<void> {
    checkPassphrase(current, options);
    const iterations = checkPassphrase(next, options);
    const { core, place } = this.#read();
    prepareWriter(core);
    const old = await openSlot(core.file, place, this.#read().header, current);
    try {
      if (Buffer.compare(current, next) === 0) {
        if (old === undefined) throw wrongPassphrase(core.file.path);
        return;
      }
      const present = await openSlot(core.file, place, this.#read().header, next);
      present?.masterKey.fill(0);
      if (old === undefined && present === undefined) throw wrongPassphrase(core.file.path);
      if (old !== undefined && present === undefined) await this.#add(old.masterKey, next, iterations);
    } finally {
      old?.masterKey.fill(0);
    }
    if (old !== undefined) this.#disable(old.slot);
    this.#overwriteDisabled();
  }

  /** A slot is filled while it is inactive, and then made active, by four bytes in one sector. */
  async #add(masterKey: Buffer, passphrase: Uint8Array, iterations: number): Promise<void> {
    const salt = randomBytes(LUKS_SALT_BYTES);
    const { hash, keyBytes } = this.#read().header;
    const slotKey = await derive(passphrase, salt, iterations, keyBytes, hash);
    const { core, place, header } = this.#read();
    const free = header.slots.find((slot) => !slot.active);
    if (free === undefined) {
      throw new Qcow2Error("TOO_LARGE", `'${core.file.path}' has eight passphrases, and no room for another one`);
    }
    const slot: LuksSlot = { ...free, iterations, salt, active: false };
    const { barrier } = prepareWriter(core);
    core.file.writeSync(sealKey(masterKey, slotKey, hash), place.offset + slot.offset);
    slotKey.fill(0);
    core.file.writeSync(encodeSlot(slot), place.offset + slotPosition(slot.index));
    barrier.syncSync();
    // What the disk gives back must open before the old passphrase goes.
    const written = { ...header, slots: [{ ...slot, active: true }] };
    const opened = await openSlot(core.file, place, written, passphrase);
    opened?.masterKey.fill(0);
    if (opened === undefined) throw new Qcow2Error("IO_ERROR", `'${core.file.path}': the new key was not kept`);
    this.#use();
    core.file.writeSync(encodeSlot({ ...slot, active: true }).subarray(0, 4), place.offset + slotPosition(slot.index));
    prepareWriter(core).barrier.syncSync();
  }

  /** The salt goes with the flag, without which the key material is worthless. */
  #disable(slot: LuksSlot): void {
    const { core, place } = this.#read();
    const empty = encodeSlot({ ...slot, active: false, iterations: 0, salt: Buffer.alloc(LUKS_SALT_BYTES) });
    core.file.writeSync(empty.subarray(0, 4), place.offset + slotPosition(slot.index));
    prepareWriter(core).barrier.syncSync();
    core.file.writeSync(empty, place.offset + slotPosition(slot.index));
    prepareWriter(core).barrier.syncSync();
  }

  /** All inactive slots: one of them may be what a kill left of an earlier change. */
  #overwriteDisabled(): void {
    const { core, place, header } = this.#read();
    for (const slot of header.slots) {
      if (slot.active) continue;
      core.file.writeSync(randomBytes(luksMaterialBytes(header.keyBytes)), place.offset + slot.offset);
      const empty = encodeSlot({ ...slot, iterations: 0, salt: Buffer.alloc(LUKS_SALT_BYTES) });
      core.file.writeSync(empty, place.offset + slotPosition(slot.index));
    }
    prepareWriter(core).barrier.syncSync();
  }

  #read(): { readonly core: ImageCore; readonly place: EncryptionHeaderPlace; readonly header: LuksHeader } {
    const core = this.#use();
    const place = core.header.encryptionHeader;
    if (core.cipher === undefined || place === undefined) {
      throw new Qcow2Error("INVALID_ARGUMENT", `'${core.file.path}' is not encrypted`);
    }
    return { core, place, header: readLuksHeader(core.file, place) };
  }
}
