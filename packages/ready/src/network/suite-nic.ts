import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { PortBinding } from "@vdc-os/core/network/v1";

/** A VM's NIC, played by the suite. */
export interface SuiteNic {
  /** Sends a frame, without check sequence. */
  send(frame: Uint8Array): void;
  /** Called for each frame that arrives. The suite sets it. */
  onFrame: (frame: Uint8Array) => void;
  close(): void | Promise<void>;
}

/**
 * Plays QEMU's `-netdev stream,server=on`: listens on the binding's socket, serves whoever dialled last, and reads and writes frames
 * behind their 32-bit big-endian length.
 */
export async function openStreamNic(path: string): Promise<SuiteNic> {
  let current: Socket | undefined;
  const server = createServer((socket) => {
    current = socket;
    let left: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      left = Buffer.concat([left, chunk]);
      while (left.length >= 4) {
        const end = 4 + left.readUInt32BE(0);
        if (left.length < end) break;
        nic.onFrame(left.subarray(4, end));
        left = left.subarray(end);
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (current === socket) current = undefined;
    });
  });
  server.listen(path);
  await once(server, "listening");
  const nic: SuiteNic = {
    send(frame) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(frame.byteLength);
      current?.write(Buffer.concat([length, frame]));
    },
    onFrame: () => undefined,
    close: async () => {
      current?.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return nic;
}

/** Opens a NIC for a binding; undefined for a kind of attachment that the suite can't play by itself. */
export async function openNic({ attachment }: PortBinding): Promise<SuiteNic | undefined> {
  return attachment.kind === "qemu-stream" ? openStreamNic(attachment.path) : undefined;
}
