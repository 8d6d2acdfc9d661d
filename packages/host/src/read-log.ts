import { type FileHandle, open } from "node:fs/promises";

/** A piece of a log. */
export interface LogPiece {
  /** Where it begins, in bytes. */
  readonly offset: number;
  readonly text: string;
}

const pieceBytes = 64 * 1024;
const followPollMs = 100;

/** Reads a log from a byte offset to its end; with `follow`, goes on until the signal aborts. A log that was begun anew is read from its start. */
export async function* readLog(
  path: string,
  options: { readonly offset: number; readonly follow: boolean; readonly signal: AbortSignal },
): AsyncGenerator<LogPiece> {
  let { offset } = options;
  const buffer = Buffer.alloc(pieceBytes);
  while (!options.signal.aborted) {
    // Opened each time: the log may have been replaced.
    const file = await open(path, "r").catch(() => undefined);
    let length = 0;
    if (file !== undefined) {
      try {
        if ((await file.stat()).size < offset) offset = 0;
        length = await readPiece(file, buffer, offset);
      } finally {
        await file.close();
      }
    }
    if (length > 0) {
      yield { offset, text: buffer.toString("utf8", 0, length) };
      offset += length;
    } else if (options.follow) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          options.signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, followPollMs);
        options.signal.addEventListener("abort", done, { once: true });
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

/** Reads a piece, and gives back the bytes of a character that is cut at its end: the next piece begins with them. */
async function readPiece(file: FileHandle, buffer: Buffer, offset: number): Promise<number> {
  const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
  if (bytesRead < buffer.length) return bytesRead;
  for (let back = 1; back <= 4; back++) {
    const byte = buffer[bytesRead - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needs > back ? bytesRead - back : bytesRead;
  }
  return bytesRead;
}
