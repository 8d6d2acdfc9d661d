import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { LENGTH_PREFIX_BYTES } from "../../src/dataplane/ethernet-frame.ts";
import { FrameSplitter } from "../../src/dataplane/frame-splitter.ts";
import type { WireClock } from "../../src/wire/wire-clock.ts";
import { DevicePort, type FrameDevice } from "../../src/wire/tap/device-port.ts";
import type { DeviceHandlers } from "../../src/wire/tap/tap-device.ts";

export interface DeviceStreamOptions {
  /** The Unix socket, in a folder that only its owner may enter. A file that is there is replaced. */
  readonly path: string;
  /** Opens the device, such as by `TapDevice.open` or `UplinkInterface.open`. */
  readonly open: (handlers: DeviceHandlers) => FrameDevice | Promise<FrameDevice>;
  readonly clock: WireClock;
  /** Called when the device comes, and when it goes with the reason. */
  readonly onLink?: ((up: boolean, reason: string | undefined) => void) | undefined;
  /** How many octets may wait for the other end. Defaults to 1 MiB. */
  readonly queueBytes?: number | undefined;
  readonly reopenMs?: number | undefined;
}

/** `dropped` are frames from the device that came while nobody was connected or too much waited; `refused` those that it didn't take. */
export interface DeviceStreamStatistics {
  readonly dropped: number;
  readonly refused: number;
}

/**
 * A device of this host as a stream of frames in QEMU's framing, which a switch dials as it does a VM's NIC or an uplink. While there is no
 * device, nobody can connect: so the switch sees its link.
 */
export class DeviceStream implements AsyncDisposable {
  readonly #options: DeviceStreamOptions;
  readonly #port: DevicePort;
  #server: Server | undefined;
  #socket: Socket | undefined;
  /** Adjacent records that wait for the end of the batch; one run is one write. */
  #run: { readonly buffer: Buffer; readonly from: number; to: number } | undefined;
  #runs: Buffer[] = [];
  #dropped = 0;
  #refused = 0;

  constructor(options: DeviceStreamOptions) {
    this.#options = options;
    const { open, clock, onLink, reopenMs } = options;
    this.#port = new DevicePort({
      ...{ open, clock, reopenMs },
      onFrame: (buffer, start, end) => this.#fromDevice(buffer, start, end),
      onBatchEnd: () => this.#flush(),
      onLink: (up, reason) => {
        if (up) this.#listen();
        else this.#hangUp();
        onLink?.(up, reason);
      },
    });
  }

  get up(): boolean {
    return this.#port.up;
  }

  /** Why there is no device; undefined while there is. */
  get reason(): string | undefined {
    return this.#port.reason;
  }

  /** Opens the device. Resolves when that was tried once; it is tried again by itself. */
  async start(): Promise<void> {
    await this.#port.dial();
  }

  statistics(): DeviceStreamStatistics {
    return { dropped: this.#dropped, refused: this.#refused };
  }

  async close(): Promise<void> {
    await this.#port.close();
    this.#hangUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #listen(): void {
    const { path } = this.#options;
    const server = createServer((socket) => this.#connected(socket));
    server.on("error", () => {
      // Whoever dials finds nobody, and the next device brings another attempt.
      if (this.#server === server) this.#server = undefined;
    });
    rmSync(path, { force: true });
    server.listen(path, () => {
      if (this.#server === server) chmodSync(path, 0o600);
    });
    this.#server = server;
  }

  #hangUp(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#server?.close();
    this.#server = undefined;
    this.#run = undefined;
    this.#runs = [];
  }

  /** The latest counts: a switch that was restarted must not wait until its predecessor's end is noticed. */
  #connected(socket: Socket): void {
    this.#socket?.destroy();
    this.#socket = socket;
    const splitter = new FrameSplitter({
      onFrame: (buffer, start, end) => {
        if (this.#port.deliver(buffer, start, end) !== undefined) this.#refused += 1;
      },
      onTooLong: () => {
        this.#refused += 1;
      },
    });
    socket.on("data", (chunk: Buffer) => {
      if (!splitter.push(chunk)) socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
  }

  #fromDevice(buffer: Buffer, start: number, end: number): void {
    const socket = this.#socket;
    if (socket === undefined || socket.writableLength > (this.#options.queueBytes ?? 1024 * 1024)) {
      this.#dropped += 1;
      return;
    }
    const from = start - LENGTH_PREFIX_BYTES;
    if (this.#run?.buffer === buffer && this.#run.to === from) this.#run.to = end;
    else {
      this.#endRun();
      this.#run = { buffer, from, to: end };
    }
  }

  #endRun(): void {
    if (this.#run !== undefined) this.#runs.push(this.#run.buffer.subarray(this.#run.from, this.#run.to));
    this.#run = undefined;
  }

  #flush(): void {
    this.#endRun();
    const runs = this.#runs;
    this.#runs = [];
    const socket = this.#socket;
    if (socket === undefined || runs.length === 0) return;
    socket.cork();
    for (const run of runs) socket.write(run);
    socket.uncork();
  }
}
