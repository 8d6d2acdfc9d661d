import { type FileHandle, open } from "node:fs/promises";
import { fileFailure } from "../repository/repository-failure.ts";
import type { BlockDevice, OpenDeviceOptions } from "./block-device.ts";

/** Opens a raw file or a block device. */
export async function openFileDevice(path: string, options: OpenDeviceOptions): Promise<BlockDevice> {
  const attempt = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      throw fileFailure(error, `disk '${path}'`);
    }
  };
  const handle: FileHandle = await attempt(() => open(path, options.writable ? "r+" : "r"));
  let sizeBytes = (await attempt(() => handle.stat())).size;
  if (sizeBytes === 0) sizeBytes = await attempt(() => sizeOfDevice(handle));
  const write = async (source: Buffer, offset: number): Promise<void> => {
    for (let done = 0; done < source.length; ) {
      const at = done;
      done += (await attempt(() => handle.write(source, at, source.length - at, offset + at))).bytesWritten;
    }
  };
  return {
    sizeBytes,
    async read(target, offset, signal) {
      for (let done = 0; done < target.length; ) {
        signal.throwIfAborted();
        const at = done;
        const { bytesRead } = await attempt(() => handle.read(target, at, target.length - at, offset + at));
        if (bytesRead === 0) throw fileFailure(Object.assign(new Error("it ends early"), { code: "EIO" }), path);
        done += bytesRead;
      }
    },
    async write(source, offset, signal) {
      signal.throwIfAborted();
      await write(source, offset);
    },
    async writeZeroes(offset, length, signal) {
      const zeroes = Buffer.alloc(Math.min(length, 1024 * 1024));
      for (let at = 0; at < length; at += zeroes.length) {
        signal.throwIfAborted();
        await write(zeroes.subarray(0, Math.min(zeroes.length, length - at)), offset + at);
      }
    },
    flush: () => attempt(() => handle.sync()),
    close: () => handle.close(),
  };
}

/** A block device says 0 as its size: its end is where reads find nothing any more. */
async function sizeOfDevice(handle: FileHandle): Promise<number> {
  const byte = Buffer.alloc(1);
  let low = 0;
  let high = 2 ** 52;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const { bytesRead } = await handle.read(byte, 0, 1, middle).catch(() => ({ bytesRead: 0 }));
    if (bytesRead === 1) low = middle + 1;
    else high = middle;
  }
  return low;
}
