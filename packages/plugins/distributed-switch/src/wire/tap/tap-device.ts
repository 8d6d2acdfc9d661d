import { Socket } from "node:net";
import { LENGTH_PREFIX_BYTES, MAX_FRAME_BYTES } from "../../dataplane/ethernet-frame.ts";
import { isInterfaceName } from "../../dataplane/interface-name.ts";
import { WireError } from "../wire-error.ts";
import { type NativeNetworkCalls, nativeNetwork } from "./native-network-calls.ts";

/** Who takes what a device reads. */
export interface DeviceHandlers {
  /**
   * Gets each frame as `buffer[start, end)`, with its length as 32 bits before `start` and the next frame's record behind it, so that runs
   * of frames can be passed on in one piece. The buffer is not used again.
   */
  readonly onFrame: (buffer: Buffer, start: number, end: number) => void;
  /** Called after the last frame of a batch. */
  readonly onBatchEnd: () => void;
  /** Told of a frame that was longer than any that a switch carries; it is dropped. */
  readonly onTooLong?: ((length: number) => void) | undefined;
  /** Called when the device may have got its carrier, or lost it. */
  readonly onCarrier?: (() => void) | undefined;
  /** Called once, when the device is gone for good: closed, or its interface was removed. */
  readonly onClose?: ((reason: string) => void) | undefined;
}

export interface TapDeviceOptions extends DeviceHandlers {
  /** The interface: an existing tap of this user, or with CAP_NET_ADMIN a new one that goes when it is closed. Up to 15 octets. */
  readonly name: string;
  /** The file of a macvtap interface. Defaults to `/dev/net/tun`. */
  readonly device?: string | undefined;
}

export interface TapStatistics {
  readonly framesIn: number;
  readonly framesOut: number;
  /** Frames that the kernel refused: the interface is down, or its queue is full. */
  readonly refused: number;
  /** Frames that were longer than any that a switch carries; they are dropped. */
  readonly tooLong: number;
}

/** Frames are read to pieces of memory of this size, one behind the other. */
const SLAB_BYTES = 256 * 1024;
/** How many frames are read before others get their turn. */
const BATCH = 64;
/** One octet more than a frame can have tells one that was cut. */
const READ_BYTES = MAX_FRAME_BYTES + 1;
const RECORD_BYTES = LENGTH_PREFIX_BYTES + READ_BYTES;
const ENOBUFS = 105;
const EAGAIN = 11;
const ERRORS = new Map([
  [1, "EPERM: this needs CAP_NET_ADMIN, or a tap that belongs to this user"],
  [2, "ENOENT: there is no such device file"],
  [13, "EACCES: the device file is not open to this user"],
  [16, "EBUSY: another process has the interface"],
  [22, "EINVAL: an interface of that name is no tap, or has several queues"],
  [77, "the interface was removed"],
]);

/** Throws `INVALID_ARGUMENT` for what can't be the name of an interface. */
export function checkInterfaceName(name: string): void {
  if (!isInterfaceName(name)) throw new WireError("INVALID_ARGUMENT", `'${name}' can't be the name of an interface`);
}

/**
 * A tap interface of the Linux kernel: what the host sends there comes here, and the other way around. Frames only, no packet
 * information, one queue. Neither reading nor writing blocks; nothing is queued here: what the kernel doesn't take is refused.
 *
 * The descriptor is watched by Node's own event loop; frames are then read until there are no more, by a native call each.
 */
export class TapDevice implements Disposable {
  /** The interface's name, as the kernel gave it when the asked one was a pattern such as `vdc%d`. */
  readonly name: string;
  readonly #calls: NativeNetworkCalls;
  readonly #options: TapDeviceOptions;
  #fd = -1;
  #socket: Socket | undefined;
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;
  #closed = false;
  #framesIn = 0;
  #framesOut = 0;
  #refused = 0;
  #tooLong = 0;

  private constructor(
    calls: NativeNetworkCalls,
    opened: { readonly fd: number; readonly name: string },
    options: TapDeviceOptions,
  ) {
    this.#calls = calls;
    this.#options = options;
    this.name = opened.name;
    const adopted = calls.adoptable(opened.fd, (fd) => {
      this.#fd = fd;
      this.#socket = this.#watch(fd);
    });
    if (adopted < 0) {
      this.#socket?.destroy();
      throw new WireError("UNAVAILABLE", `cannot watch the tap '${opened.name}': error ${-adopted}`);
    }
  }

  /**
   * Opens an interface. It is not brought up and gets no address: that is its owner's. Throws `INVALID_ARGUMENT` for a name that can't be
   * one, and `UNAVAILABLE` with what is missing: the library, the device, the right.
   */
  static open(options: TapDeviceOptions): TapDevice {
    const { name } = options;
    checkInterfaceName(name);
    const native = nativeNetwork();
    if (native.calls === undefined)
      throw new WireError("UNAVAILABLE", `cannot open the tap '${name}': ${native.reason}`);
    const opened = native.calls.openTap(name, options.device ?? "/dev/net/tun");
    if ("errno" in opened) {
      const why = ERRORS.get(opened.errno) ?? `error ${opened.errno}`;
      throw new WireError("UNAVAILABLE", `cannot open the tap '${name}' (${opened.call}): ${why}`);
    }
    return new TapDevice(native.calls, opened, options);
  }

  /** Gives a frame to the host. Says why when the kernel doesn't take it. */
  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined {
    if (this.#closed) return "linkDown";
    const written = this.#calls.write(this.#fd, buffer, { start, end });
    if (written >= 0) {
      this.#framesOut += 1;
      return undefined;
    }
    this.#refused += 1;
    return written === -EAGAIN || written === -ENOBUFS ? "queueFull" : "linkDown";
  }

  /** Nothing waits here. */
  flush(): void {}

  statistics(): TapStatistics {
    return { framesIn: this.#framesIn, framesOut: this.#framesOut, refused: this.#refused, tooLong: this.#tooLong };
  }

  close(): void {
    this.#end("closed");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #watch(fd: number): Socket {
    const socket = new Socket({
      fd,
      readable: true,
      writable: false,
      onread: {
        buffer: () => this.#room(),
        callback: (count: number) => {
          this.#received(count);
          return true;
        },
      },
    });
    socket.on("error", (error: NodeJS.ErrnoException) => this.#end(ERRORS.get(-(error.errno ?? 0)) ?? error.message));
    socket.on("end", () => this.#end("the interface was removed"));
    return socket;
  }

  /** Where the next frame goes. */
  #room(): Buffer {
    if (this.#used + RECORD_BYTES > SLAB_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    const from = this.#used + LENGTH_PREFIX_BYTES;
    return this.#slab.subarray(from, from + READ_BYTES);
  }

  #received(first: number): void {
    this.#frame(first);
    for (let count = 1; count < BATCH && !this.#closed; count += 1) {
      if (this.#used + RECORD_BYTES > SLAB_BYTES) {
        this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        this.#used = 0;
      }
      const place = { offset: this.#used + LENGTH_PREFIX_BYTES, length: READ_BYTES };
      const length = this.#calls.read(this.#fd, this.#slab, place);
      // The event loop's own next read finds out why, when it isn't that there are no more.
      if (length <= 0) break;
      this.#frame(length);
    }
    this.#options.onBatchEnd();
  }

  #frame(length: number): void {
    if (length > MAX_FRAME_BYTES) {
      this.#tooLong += 1;
      this.#options.onTooLong?.(length);
      return;
    }
    const slab = this.#slab;
    const start = this.#used + LENGTH_PREFIX_BYTES;
    slab.writeUInt32BE(length, this.#used);
    this.#used = start + length;
    this.#framesIn += 1;
    this.#options.onFrame(slab, start, start + length);
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.destroy();
    this.#options.onClose?.(reason);
  }
}
