import { open } from "node:fs/promises";
import { type OperationContext, toVdcError } from "@vdc-os/core";

const stepBytes = 1024 * 1024;
const zeroes = Buffer.alloc(stepBytes);

/** Copies a disk byte by byte into a new file, so that nothing is shared. Zeroes become holes. Cancelling leaves a part of the file, which the caller removes. */
export async function copyDisk(from: string, to: string, context: OperationContext): Promise<void> {
  await using source = await open(from, "r");
  await using target = await open(to, "wx", 0o600);
  const { size } = await source.stat();
  await target.truncate(size);
  const buffer = Buffer.alloc(stepBytes);
  for (let at = 0; at < size; ) {
    if (context.signal.aborted) throw toVdcError(context.signal.reason);
    const { bytesRead } = await source.read(buffer, 0, Math.min(stepBytes, size - at), at);
    if (bytesRead === 0) break;
    const isZero = buffer.compare(zeroes, 0, bytesRead, 0, bytesRead) === 0;
    if (!isZero) await target.write(buffer, 0, bytesRead, at);
    at += bytesRead;
    context.progress({ fraction: at / size, message: "copying blocks" });
  }
}
