import type { AnnotatedPacket } from "./captured-packet.ts";

/** A frame as the contract's facet `capture` tells it. */
export interface PortCaptureFrame {
  /** Microseconds since 1970, UTC. */
  readonly atMicroseconds: number;
  readonly direction: "in" | "out";
  readonly originalLength: number;
  /** Base64. */
  readonly data: string;
  readonly dropped?: string | undefined;
  readonly missed?: number | undefined;
}

/** What a captured frame of a port is in a capture file: the port is its interface, and why it was dropped is its comment. */
export function portPacket(frame: PortCaptureFrame, portKey: string): AnnotatedPacket {
  const { atMicroseconds, direction, originalLength, data, dropped, missed } = frame;
  return {
    data: Buffer.from(data, "base64"),
    timeNs: BigInt(Math.floor(atMicroseconds)) * 1000n,
    originalLength,
    interfaceName: portKey,
    direction,
    comment: dropped === undefined ? undefined : `dropped: ${dropped}`,
    missed,
  };
}
