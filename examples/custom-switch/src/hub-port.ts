import { createConnection, type Socket } from "node:net";
import type { ConnectPort, PortSetting, PortStatistics, PortStatus } from "@vdc-os/core/network/v1";

/** What a NIC may leave unread, in bytes, before frames for it are dropped. */
const queueLimit = 1 << 20;
const longestFrame = 1 << 16;

/** A port's counters. They are the port's, not its owner's: the next owner goes on with them. */
export class PortCounters {
  framesIn = 0;
  bytesIn = 0;
  forwarded = 0;
  framesOut = 0;
  bytesOut = 0;
  readonly dropsIn: Map<string, number> = new Map();
  readonly dropsOut: Map<string, number> = new Map();

  dropIn(reason: string): void {
    this.dropsIn.set(reason, (this.dropsIn.get(reason) ?? 0) + 1);
  }

  dropOut(reason: string): void {
    this.dropsOut.set(reason, (this.dropsOut.get(reason) ?? 0) + 1);
  }
}

/** Options of {@link HubPort}. */
export interface HubPortOptions {
  readonly request: ConnectPort;
  readonly path: string;
  readonly counters: PortCounters;
  readonly onFrame: (frame: Buffer) => void;
  readonly onLink: () => void;
}

/** One owner's connection. QEMU listens on the socket; the port dials, and dials again whenever the link is lost. */
export class HubPort {
  readonly request: ConnectPort;
  readonly path: string;
  readonly counters: PortCounters;
  readonly #options: HubPortOptions;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #up = false;
  #closed = false;

  constructor(options: HubPortOptions) {
    this.request = options.request;
    this.path = options.path;
    this.counters = options.counters;
    this.#options = options;
    this.#dial();
  }

  /** Frames are behind their length, 32 bits, big-endian (QEMU's `-netdev stream`). A NIC that does not read loses frames, and nobody waits for it. */
  send(frame: Buffer): void {
    const socket = this.#socket;
    if (!this.#up || socket === undefined || socket.writableLength > queueLimit) {
      this.counters.dropOut(this.#up ? "queueFull" : "linkDown");
      return;
    }
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length);
    socket.write(Buffer.concat([length, frame]));
    this.counters.framesOut += 1;
    this.counters.bytesOut += frame.length;
  }

  status(): PortStatus {
    const { portKey, portGroup, host, generation, opaque } = this.request;
    const link = this.#up ? "up" : "down";
    const rest = { gate: "open", learnedMacs: [], ...(opaque === undefined ? {} : { opaque }) } as const;
    return { portKey, portGroup, host, generation, link, ...rest };
  }

  /** From here on no frame of this owner is heard, and none is sent to it. */
  close(): void {
    this.#closed = true;
    this.#up = false;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #dial(): void {
    const socket = createConnection(this.path);
    let rest: Buffer = Buffer.alloc(0);
    this.#socket = socket;
    socket.on("connect", () => this.#setLink(true));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#setLink(false);
      if (!this.#closed) this.#timer = setTimeout(() => this.#dial(), 50).unref();
    });
    socket.on("data", (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (rest.length >= 4 && !this.#closed) {
        const length = rest.readUInt32BE(0);
        // A length from outside is never trusted: this NIC has lost its place, and begins anew.
        if (length > longestFrame) {
          socket.destroy();
          return;
        }
        if (rest.length < 4 + length) return;
        this.#options.onFrame(rest.subarray(4, 4 + length));
        rest = rest.subarray(4 + length);
      }
    });
  }

  #setLink(up: boolean): void {
    if (this.#up === up || this.#closed) return;
    this.#up = up;
    this.#options.onLink();
  }
}

/** A port's counters, as the contract tells them. */
export function statisticsOf(portKey: string, counters: PortCounters): PortStatistics {
  const told = (drops: ReadonlyMap<string, number>): Record<string, string> =>
    Object.fromEntries([...drops].map(([reason, count]) => [reason, String(count)]));
  const { framesIn, bytesIn, forwarded, framesOut, bytesOut, dropsIn, dropsOut } = counters;
  return {
    portKey,
    framesIn: String(framesIn),
    bytesIn: String(bytesIn),
    framesForwarded: String(forwarded),
    framesHeld: "0",
    dropsIn: told(dropsIn),
    framesOut: String(framesOut),
    bytesOut: String(bytesOut),
    dropsOut: told(dropsOut),
  };
}

/** Whether a port takes a frame for this address: its own, one for all or many, or any where it may listen to everything. */
export function isFor(destination: Buffer, mac: string, { security }: PortSetting): boolean {
  const group = ((destination[0] ?? 0) & 1) === 1;
  return group || security.promiscuous || destination.toString("hex") === mac.replaceAll(":", "");
}
