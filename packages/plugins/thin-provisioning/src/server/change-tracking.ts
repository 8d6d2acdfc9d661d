import { readFileSync } from "node:fs";
import { ChangeBitmap } from "../change-bitmap.ts";
import type { PoolLayout } from "../pool-layout.ts";
import type { CheckpointRecord } from "../snapshot-record.ts";

/** The bitmaps of one volume's live checkpoints, kept up to date while it is served for writing. */
export class ChangeTracking {
  readonly #layout: PoolLayout;
  readonly #volumeId: string;
  readonly #bitmaps = new Map<string, ChangeBitmap>();

  constructor(layout: PoolLayout, volumeId: string) {
    this.#layout = layout;
    this.#volumeId = volumeId;
  }

  get(checkpoint: string): ChangeBitmap | undefined {
    return this.#bitmaps.get(checkpoint);
  }

  /** Follows exactly these checkpoints. One whose bitmap can't be read is not followed: whoever asks for it finds that out. */
  follow(checkpoints: readonly CheckpointRecord[]): readonly ChangeBitmap[] {
    const wanted = new Set(checkpoints.map(({ checkpoint }) => checkpoint));
    for (const [checkpoint, bitmap] of this.#bitmaps) {
      if (wanted.has(checkpoint)) continue;
      bitmap.close();
      this.#bitmaps.delete(checkpoint);
    }
    for (const checkpoint of wanted) {
      if (this.#bitmaps.has(checkpoint)) continue;
      try {
        const bitmap = ChangeBitmap.open(this.#layout.changes(this.#volumeId, checkpoint), { write: true });
        bitmap.beginWriting(currentBootId());
        this.#bitmaps.set(checkpoint, bitmap);
      } catch (error) {
        process.stderr.write(`volume ${this.#volumeId}: checkpoint ${checkpoint} is not followed: ${String(error)}\n`);
      }
    }
    return [...this.#bitmaps.values()];
  }

  /** Ends in order. */
  close(): void {
    for (const bitmap of this.#bitmaps.values()) {
      try {
        bitmap.endWriting();
      } catch (error) {
        process.stderr.write(`volume ${this.#volumeId}: a bitmap was not closed in order: ${String(error)}\n`);
      }
    }
    this.#bitmaps.clear();
  }
}

/** The id of this boot, or a word that no boot has where there is none to read. */
export function currentBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "unknown";
  }
}
