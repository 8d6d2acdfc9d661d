import { type FileHandle, open } from "node:fs/promises";

/** A piece of a log. */
export interface LogPiece {
  /** Where it begins, in bytes. */
  readonly offset: number;
  readonly text: string;
}

const pieceBytes = 64 * 1024;
const followPollMs = 100;

/** Options of {@link readLog}. */
export interface ReadLogOptions {
  readonly offset: number;
  /** Goes on with what is written later, until the process is not there any more. */
  readonly follow: boolean;
  /** Whether the process that writes it is there. */
  readonly isThere: () => boolean;
  readonly signal: AbortSignal;
}

/** Reads a log from a byte offset to its end; with `follow`, goes on until the signal aborts. A log that was begun anew is read from its start. */
export async function* readLog(path: string, options: ReadLogOptions): AsyncGenerator<LogPiece> {
  const { follow, isThere, signal } = options;
  let { offset } = options;
  const buffer = Buffer.alloc(pieceBytes);
  while (!signal.aborted) {
    // Opened each time: the log may have been replaced.
    const file = await open(path, "r").catch(() => undefined);
    let length = 0;
    if (file !== undefined) {
      try {
        if ((await file.stat()).size < offset) offset = 0;
        length = await readPiece(file, buffer, { offset, isWhole: !follow });
      } finally {
        await file.close();
      }
    }
    if (length > 0) {
      yield { offset, text: buffer.toString("utf8", 0, length) };
      offset += length;
    } else if (follow && isThere()) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, followPollMs);
        signal.addEventListener("abort", done, { once: true });
      });
    } else {
      return;
    }
  }
}

/** The last characters of a log, for an error's text. */
export async function readTail(path: string, maxBytes: number): Promise<string> {
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return "";
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(maxBytes, size));
    await file.read(buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString("utf8").trim();
  } finally {
    await file.close();
  }
}

/**
 * Reads a piece, and gives back the bytes of a character that is cut at its end: the next piece begins with them. At the end of a log that `isWhole`, nothing
 * follows; elsewhere the process may be about to write the rest.
 */
async function readPiece(
  file: FileHandle,
  buffer: Buffer,
  { offset, isWhole }: { readonly offset: number; readonly isWhole: boolean },
): Promise<number> {
  const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
  if (bytesRead < buffer.length && isWhole) return bytesRead;
  for (let back = 1; back <= Math.min(4, bytesRead); back++) {
    const byte = buffer[bytesRead - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needs > back ? bytesRead - back : bytesRead;
  }
  return bytesRead;
}
