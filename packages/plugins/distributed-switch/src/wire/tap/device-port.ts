import type { WireClock } from "../wire-clock.ts";
import type { DeviceHandlers } from "./tap-device.ts";

/** An open device that frames come from and go to. */
export interface FrameDevice {
  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined;
  close(): void | Promise<void>;
}

export interface DevicePortOptions {
  /** Opens the device, such as by `TapDevice.open`; called again when it is gone. What it throws is why the link is down. */
  readonly open: (handlers: DeviceHandlers) => FrameDevice | Promise<FrameDevice>;
  readonly clock: WireClock;
  readonly onFrame: (buffer: Buffer, start: number, end: number) => void;
  readonly onBatchEnd: () => void;
  /** Called when the link comes up, and when it goes down with the reason. */
  readonly onLink: (up: boolean, reason: string | undefined) => void;
  /** The wait before it is opened again; it doubles up to the largest. Defaults to `100`. */
  readonly reopenMs?: number | undefined;
  /** Defaults to `5_000`. */
  readonly reopenLargestMs?: number | undefined;
}

/**
 * A switch port's link to a device of this host, as `StreamPort` is one to a socket: opens it, hands its frames over, and opens it again when it
 * goes away.
 */
export class DevicePort {
  readonly #options: DevicePortOptions;
  #device: FrameDevice | undefined;
  #reason: string | undefined = "not opened yet";
  #opens = 0;
  #wait: number;
  #cancel: (() => void) | undefined;
  #closed = false;
  /** Tells the device in use from those before it. */
  #epoch = 0;

  constructor(options: DevicePortOptions) {
    this.#options = options;
    this.#wait = options.reopenMs ?? 100;
  }

  get up(): boolean {
    return this.#device !== undefined;
  }

  /** Why the link is down; undefined while it is up. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Attempts to open it so far. */
  get dials(): number {
    return this.#opens;
  }

  /** Opens the device. Resolves when that was tried once; it is tried again by itself. */
  async dial(): Promise<void> {
    if (this.#closed || this.#device !== undefined) return;
    this.#opens += 1;
    this.#epoch += 1;
    const epoch = this.#epoch;
    let gone: string | undefined;
    try {
      const device = await this.#options.open({
        onFrame: (buffer, start, end) => {
          if (epoch === this.#epoch && !this.#closed) this.#options.onFrame(buffer, start, end);
        },
        onBatchEnd: this.#options.onBatchEnd,
        onClose: (reason) => {
          gone = reason;
          if (epoch === this.#epoch && this.#device !== undefined) this.#lost(reason);
        },
      });
      if (this.#closed) await device.close();
      else if (gone !== undefined) this.#lost(gone);
      else {
        this.#device = device;
        this.#wait = this.#options.reopenMs ?? 100;
        this.#reason = undefined;
        this.#options.onLink(true, undefined);
      }
    } catch (error) {
      this.#lost(error instanceof Error ? error.message : String(error));
    }
  }

  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined {
    return this.#device === undefined ? "linkDown" : this.#device.deliver(buffer, start, end);
  }

  /** Nothing waits here. */
  flush(): void {}

  /** Closes the device and never opens it again. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    const device = this.#device;
    this.#device = undefined;
    await device?.close();
  }

  #lost(reason: string): void {
    const device = this.#device;
    this.#device = undefined;
    if (this.#closed) return;
    // What an interface leaves behind goes before it is opened again.
    if (device !== undefined) void Promise.resolve(device.close()).catch(() => undefined);
    const changed = this.#reason !== reason;
    this.#reason = reason;
    this.#cancel = this.#options.clock.schedule(this.#wait, () => void this.dial());
    this.#wait = Math.min(this.#wait * 2, this.#options.reopenLargestMs ?? 5000);
    if (changed) this.#options.onLink(false, reason);
  }
}
