import { once } from "node:events";
import { createWriteStream } from "node:fs";
import type { Writable } from "node:stream";
import type { CapturedFrame } from "@vdc-os/core/network/v1";
import { PcapWriter, PcapngWriter, portPacket } from "@vdc-os/pcap";

/** Formats of capture files. */
export type CaptureFormat = "pcap" | "pcapng";

/** Where frames go. */
export interface CaptureSink {
  write(bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** What was captured. */
export interface CaptureTotals {
  frames: number;
  bytes: number;
  missed: number;
  dropped: number;
}

/** A new file, which only its owner may read: frames may hold what is nobody else's business. */
export async function openCaptureFile(path: string): Promise<CaptureSink> {
  const stream = createWriteStream(path, { flags: "w", mode: 0o600 });
  await once(stream, "open");
  return sinkOf(
    stream,
    () =>
      new Promise<void>((resolve, reject) => {
        stream.once("error", reject);
        stream.end(resolve);
      }),
  );
}

/** A stream that is somebody else's, such as standard output; it stays open. */
export function openCaptureStream(stream: Writable): CaptureSink {
  return sinkOf(stream, async () => {});
}

function sinkOf(stream: Writable, close: () => Promise<void>): CaptureSink {
  let failure: Error | undefined;
  stream.on("error", (error) => {
    failure ??= error;
  });
  return {
    async write(bytes) {
      if (failure !== undefined) throw failure;
      if (!stream.write(bytes)) await Promise.race([once(stream, "drain"), once(stream, "close")]);
    },
    close,
  };
}

/** Options of {@link writeCapture}. */
export interface WriteCaptureOptions {
  readonly format: CaptureFormat;
  /** The name of the interface in the file. */
  readonly label: string;
  readonly snapLength: number;
  /** About the whole file. */
  readonly comment: string;
  readonly onFrame?: (totals: Readonly<CaptureTotals>) => void;
  /** Ends the capture; the file is whole then. */
  readonly signal: AbortSignal;
}

/** Writes frames as they come. What was written is a whole capture file at every moment. Rejects with what the capture failed with, unless it was ended. */
export async function writeCapture(
  frames: AsyncIterable<CapturedFrame>,
  sink: CaptureSink,
  options: WriteCaptureOptions,
): Promise<CaptureTotals> {
  const { format, label, snapLength, comment, onFrame, signal } = options;
  // The facet tells microseconds.
  const shape = { snapLength, resolution: "microseconds" as const };
  const writer =
    format === "pcap"
      ? new PcapWriter(shape)
      : new PcapngWriter({ ...shape, application: "vdc network capture", comment });
  const totals: CaptureTotals = { frames: 0, bytes: 0, missed: 0, dropped: 0 };
  try {
    await sink.write(writer.header());
    for await (const frame of frames) {
      await sink.write(writer.packet(portPacket(frame, label)));
      totals.frames++;
      totals.bytes += frame.originalLength;
      totals.missed += frame.missed;
      if (frame.dropped !== undefined) totals.dropped++;
      onFrame?.(totals);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return totals;
}
