import { existsSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { LENGTH_PREFIX_BYTES } from "./ethernet-frame.ts";
import type { FrameLink, FrameLinkHandlers } from "./frame-link.ts";
import { FrameSplitter } from "./frame-splitter.ts";
import type { QueueMemory } from "./queue-memory.ts";
import {
  copyRuns,
  gather,
  giveMemory,
  keepGathered,
  READ_AT,
  type Run,
  readBuffer,
  readMemory,
  takeMemory,
} from "./stream-memory.ts";

export interface StreamPortOptions extends FrameLinkHandlers {
  /** The Unix socket on which QEMU listens: `-netdev stream,server=on,addr.type=unix,addr.path=...`. */
  readonly path: string;
  /** How many octets may wait for the NIC. Defaults to 1 MiB. */
  readonly queueBytes?: number;
  /** Where they wait, among those of others. */
  readonly memory: QueueMemory;
  /** The wait before the first redial; it doubles up to the largest. Defaults to `20`. */
  readonly redialMs?: number;
  /** Defaults to `1_000`. */
  readonly redialLargestMs?: number;
}

/** The part of the options that all ports of a switch share. */
export type StreamSettings = Pick<StreamPortOptions, "memory" | "redialMs" | "redialLargestMs">;

const LINGER_MS = 100;

/**
 * The data plane's end of a NIC's stream socket. It dials and, when QEMU isn't there yet or goes away, dials again; since QEMU listens,
 * a restarted data plane finds its NICs again and the guest only misses the frames of that time.
 *
 * QEMU serves one connection at a time and lets others wait in the socket's backlog: "up" means connected, not served.
 */
export class StreamPort implements FrameLink {
  readonly path: string;
  readonly #options: StreamPortOptions;
  readonly #queueBytes: number;
  #socket: Socket | undefined;
  #up = false;
  #closed = false;
  #redialTimer: NodeJS.Timeout | undefined;
  #redialMs: number;
  #reason: string | undefined = "not connected yet";
  #dials = 0;
  /** Runs of adjacent records waiting for `flush`. */
  #pending: Run[] = [];
  #pendingBytes = 0;
  /** What the kernel takes only bit by bit; while there is such, the rest waits behind it. */
  #writing: Buffer | undefined;
  #backlog: { readonly memory: Buffer; octets: number }[] = [];
  #backlogBytes = 0;
  /** What of `queuedBytes` the shared memory knows of. */
  #accounted = 0;
  readonly #written = (): void => {
    this.#writeBacklog();
    this.#account();
  };

  constructor(options: StreamPortOptions) {
    this.path = options.path;
    this.#options = options;
    this.#queueBytes = options.queueBytes ?? 1024 * 1024;
    this.#redialMs = options.redialMs ?? 20;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Why the link is down; undefined while it is up. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Connection attempts so far. */
  get dials(): number {
    return this.#dials;
  }

  /** Octets that wait for the NIC. */
  get queuedBytes(): number {
    return (this.#socket?.writableLength ?? 0) + this.#pendingBytes + this.#backlogBytes;
  }

  dial(): void {
    if (this.#closed) return;
    this.#dials += 1;
    let failure: string | undefined;
    const splitter = new FrameSplitter(this.#options);
    const take = (octets: number): boolean => {
      if (this.#socket !== socket || this.#closed) return false;
      const framed = splitter.pushInPlace(readMemory, READ_AT, READ_AT + octets);
      this.#options.onBatchEnd();
      if (framed) return true;
      failure = "framing lost: a length beyond any frame";
      socket.destroy();
      return false;
    };
    const socket: Socket = createConnection({
      path: this.path,
      onread: { buffer: readBuffer, callback: take },
    });
    this.#socket = socket;
    socket.on("connect", () => {
      this.#redialMs = this.#options.redialMs ?? 20;
      this.#setLink(true, undefined);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure ??= error.code ?? error.message;
    });
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#setLink(false, failure ?? "closed by the other end");
      this.#dialLater();
    });
  }

  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined {
    const socket = this.#socket;
    if (!this.#up || socket === undefined) return "linkDown";
    const from = start - LENGTH_PREFIX_BYTES;
    if (this.queuedBytes + (end - from) > Math.min(this.#queueBytes, this.#options.memory.threshold))
      return "queueFull";
    this.#pendingBytes += end - from;
    const last = this.#pending.at(-1);
    if (last !== undefined && last.buffer === buffer && last.to === from) last.to = end;
    else this.#pending.push({ buffer, from, to: end });
    return undefined;
  }

  flush(): void {
    const runs = this.#pending;
    const octets = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    const socket = this.#socket;
    if (!this.#up || socket === undefined || runs.length === 0) return;
    if (this.#writing !== undefined) this.#wait(runs, octets);
    else {
      socket.write(gather(runs, octets), this.#written);
      if (socket.writableLength > 0) this.#writing = keepGathered();
    }
    this.#account();
  }

  /**
   * Hangs up and never dials again; takes nothing from the NIC any more. What was delivered still goes to a NIC that reads: one that doesn't
   * is waited for a tenth of a second. Resolves when the socket is closed.
   */
  async close(): Promise<void> {
    this.flush();
    this.#closed = true;
    clearTimeout(this.#redialTimer);
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    const patience = setTimeout(() => socket.destroy(), LINGER_MS);
    await new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      if (this.#up && socket.writableLength > 0) socket.destroySoon();
      else socket.destroy();
    });
    clearTimeout(patience);
  }

  #wait(runs: readonly Run[], octets: number): void {
    let last = this.#backlog.at(-1);
    if (last === undefined || last.memory.length - last.octets < octets) {
      last = { memory: takeMemory(octets), octets: 0 };
      this.#backlog.push(last);
    }
    copyRuns(runs, last.memory, last.octets);
    last.octets += octets;
    this.#backlogBytes += octets;
  }

  #writeBacklog(): void {
    const socket = this.#socket;
    if (this.#writing === undefined || socket === undefined || socket.writableLength > 0) return;
    giveMemory(this.#writing);
    const next = this.#backlog.shift();
    this.#writing = next?.memory;
    if (next === undefined) return;
    this.#backlogBytes -= next.octets;
    socket.write(next.memory.subarray(0, next.octets), this.#written);
  }

  #account(): void {
    const queued = this.queuedBytes;
    if (queued === this.#accounted) return;
    this.#options.memory.account(this.#accounted, queued);
    this.#accounted = queued;
  }

  #dialLater(): void {
    if (this.#closed) return;
    this.#redialTimer = setTimeout(() => {
      // Looking costs a twentieth of dialling, and there may be thousands of ports whose VM isn't started yet.
      if (this.path.startsWith("\0") || existsSync(this.path)) return this.dial();
      this.#setLink(false, "ENOENT");
      this.#dialLater();
    }, this.#redialMs);
    this.#redialMs = Math.min(this.#redialMs * 2, this.#options.redialLargestMs ?? 1000);
  }

  #setLink(up: boolean, reason: string | undefined): void {
    const changed = this.#up !== up || this.#reason !== reason;
    this.#up = up;
    this.#reason = reason;
    if (!up) {
      this.#pending = [];
      this.#pendingBytes = 0;
      // A write that was cut off may still refer to its memory: it isn't given back.
      this.#writing = undefined;
      this.#backlog = [];
      this.#backlogBytes = 0;
      this.#account();
    }
    if (changed) this.#options.onLink(up, reason);
  }
}
