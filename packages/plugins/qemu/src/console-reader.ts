import { watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { toVdcError } from "@vdc-os/core";
import { decodeConsole } from "./console-text.ts";
import { firstKeptByte } from "./trim-console.ts";

/** Options of {@link readConsoleLog}. */
export interface ReadConsoleOptions {
  readonly path: string;
  readonly offset: number;
  /** Whether to wait for more at the end; asked each time that the end is reached. */
  readonly goesOn: () => boolean;
  readonly signal: AbortSignal;
}

const portionBytes = 64 * 1024;
/** How long a missed notification from the file system can delay what the guest wrote. */
const lookAgainMs = 500;
/** A guest's serial port gives one byte at a time: they are gathered for this long. */
const gatherMs = 20;

/** A guest's output from a byte offset on, in portions. Each has as many bytes, encoded, as it moves the offset; what is too old to be kept is skipped. */
export async function* readConsoleLog(
  options: ReadConsoleOptions,
): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
  const { path, signal } = options;
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  // A VM that never ran has written nothing.
  if (file === undefined) return;
  let wake: () => void = () => {};
  const watcher = watch(path, () => wake());
  watcher.on("error", () => undefined);
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  try {
    let { offset } = options;
    const buffer = Buffer.alloc(portionBytes);
    for (;;) {
      // Asked before the file is read: what was written before the VM stopped is read then.
      const goesOn = options.goesOn();
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      offset = Math.max(offset, firstKeptByte((await file.stat()).size));
      const data = await readAt(file, buffer, offset);
      if (signal.aborted) throw toVdcError(signal.reason);
      const { text, bytes } = decodeConsole(data, !goesOn);
      if (bytes > 0) {
        yield { offset, text };
        offset += bytes;
        continue;
      }
      if (!goesOn) return;
      const timer = setTimeout(() => wake(), lookAgainMs);
      await changed;
      clearTimeout(timer);
      await new Promise((resolve) => setTimeout(resolve, gatherMs));
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    watcher.close();
    await file.close();
  }
}

async function readAt(file: FileHandle, buffer: Buffer, offset: number): Promise<Uint8Array> {
  const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
  return buffer.subarray(0, bytesRead);
}
