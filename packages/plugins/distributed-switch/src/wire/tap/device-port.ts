import type { FrameLink, FrameLinkHandlers } from "../../dataplane/frame-link.ts";
import type { WireClock } from "../wire-clock.ts";
import type { DeviceHandlers } from "./tap-device.ts";

/** An open device that frames come from and go to. */
export interface FrameDevice {
  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined;
  /** Whether there is something at its other end. Always, where it is absent. */
  carrier?(): boolean;
  close(): Promise<void> | void;
}

export interface DevicePortOptions extends Omit<FrameLinkHandlers, "onTooLong"> {
  /** Opens the device, such as by `TapDevice.open`; called again when it is gone. What it throws is why the link is down. */
  readonly open: (handlers: DeviceHandlers) => FrameDevice | Promise<FrameDevice>;
  readonly clock: WireClock;
  readonly onTooLong?: ((length: number) => void) | undefined;
  /** The wait before it is opened again; it doubles up to the largest. Defaults to `100`. */
  readonly reopenMs?: number | undefined;
  /** Defaults to `5_000`. */
  readonly reopenLargestMs?: number | undefined;
}

/**
 * A link to a device of this host, as `StreamPort` is one to a socket: opens it, hands its frames over, is up while the device is there and has its
 * carrier, and opens it again when it goes away.
 */
export class DevicePort implements FrameLink {
  readonly #options: DevicePortOptions;
  #device: FrameDevice | undefined;
  #up = false;
  #reason: string | undefined = "not opened yet";
  #opens = 0;
  #wait: number;
  #cancel: (() => void) | undefined;
  #closed = false;
  /** The attempt that is under way. */
  #opening: Promise<void> = Promise.resolve();
  /** Tells the device in use from those before it. */
  #epoch = 0;

  constructor(options: DevicePortOptions) {
    this.#options = options;
    this.#wait = options.reopenMs ?? 100;
  }

  get up(): boolean {
    return this.#up;
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
  dial(): Promise<void> {
    if (!this.#closed && this.#device === undefined) this.#opening = this.#open();
    return this.#opening;
  }

  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined {
    return this.#device === undefined || !this.#up ? "linkDown" : this.#device.deliver(buffer, start, end);
  }

  /** Nothing waits here. */
  flush(): void {}

  /** Closes the device and never opens it again. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#up = false;
    this.#cancel?.();
    // One that is being opened would be left behind, or taken from whoever opens it next.
    await this.#opening;
    const device = this.#device;
    this.#device = undefined;
    await device?.close();
  }

  async #open(): Promise<void> {
    this.#opens += 1;
    this.#epoch += 1;
    const epoch = this.#epoch;
    let gone: string | undefined;
    const isInUse = (): boolean => epoch === this.#epoch && !this.#closed;
    try {
      const device = await this.#options.open({
        onFrame: (buffer, start, end) => {
          if (isInUse()) this.#options.onFrame(buffer, start, end);
        },
        onBatchEnd: this.#options.onBatchEnd,
        onTooLong: this.#options.onTooLong,
        onCarrier: () => {
          if (isInUse()) this.#look();
        },
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
        this.#look();
      }
    } catch (error) {
      this.#lost(error instanceof Error ? error.message : String(error));
    }
  }

  #look(): void {
    const device = this.#device;
    if (device === undefined) return;
    const up = device.carrier?.() ?? true;
    this.#setLink(up, up ? undefined : "no carrier: nothing is at its other end");
  }

  #lost(reason: string): void {
    const device = this.#device;
    this.#device = undefined;
    if (this.#closed) return;
    // What an interface leaves behind goes before it is opened again.
    const left = device?.close()?.catch(() => undefined);
    this.#cancel = this.#options.clock.schedule(this.#wait, () => {
      if (left === undefined) void this.dial();
      else this.#opening = left.then(() => (this.#closed ? undefined : this.#open()));
    });
    this.#wait = Math.min(this.#wait * 2, this.#options.reopenLargestMs ?? 5000);
    this.#setLink(false, reason);
  }

  #setLink(up: boolean, reason: string | undefined): void {
    const changed = this.#up !== up || this.#reason !== reason;
    this.#up = up;
    this.#reason = reason;
    if (changed) this.#options.onLink(up, reason);
  }
}
