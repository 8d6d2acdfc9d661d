import { createConnection, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { FixtureError } from "./fixture-error.ts";

/**
 * A NIC at the other end of a dummy device's Unix stream: 16-bit big-endian length, then the frame. The daemon takes about one frame
 * per turn of its main loop and drops what exceeds a hundred waiting: right for behaviour, useless for speed.
 */
export interface DummyPort extends AsyncDisposable {
  readonly path: string;
  /** Every frame that arrived and was not cleared, oldest first. */
  readonly frames: readonly Buffer[];
  readonly closed: boolean;
  /** Called for each frame that arrives, besides. */
  onFrame: (frame: Buffer) => void;
  /** Sends frames of 14 to 65535 octets, in order. */
  send(...frames: readonly Uint8Array[]): void;
  /**
   * The oldest frame that matches and was not returned by an earlier call, as soon as there is one. Rejects with `NOT_READY` after
   * `timeoutMs` (default `60_000`), naming what did arrive, or with `EXITED` when the device hung up.
   */
  receive(options?: ReceiveFrameOptions): Promise<Buffer>;
  /** Forgets what arrived. */
  clear(): void;
}

export interface ReceiveFrameOptions {
  readonly matching?: (frame: Buffer) => boolean;
  readonly timeoutMs?: number;
}

export interface OpenDummyPortOptions {
  /** How long the socket may take to appear. Defaults to `60_000`. */
  readonly timeoutMs?: number;
}

/** Connects to a device with `options:pstream=punix:<path>`. */
export async function openDummyPort(
  path: string,
  { timeoutMs = 60_000 }: OpenDummyPortOptions = {},
): Promise<DummyPort> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return new DummyPortSocket(path, await connect(path));
    } catch (cause) {
      if (performance.now() > deadline) {
        throw new FixtureError("NOT_READY", `no device listened on '${path}' after ${timeoutMs} ms`, { cause });
      }
      await delay(5);
    }
  }
}

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

class DummyPortSocket implements DummyPort {
  readonly path: string;
  readonly frames: Buffer[] = [];
  closed = false;
  onFrame: (frame: Buffer) => void = () => undefined;
  readonly #socket: Socket;
  readonly #taken = new WeakSet<Buffer>();
  readonly #waiting = new Set<() => void>();
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string, socket: Socket) {
    this.path = path;
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#data(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  send(...frames: readonly Uint8Array[]): void {
    const records = frames.flatMap((frame) => {
      if (frame.length < 14 || frame.length > 0xffff) {
        throw new RangeError(`a frame of ${frame.length} octets can't be sent to a dummy device`);
      }
      const length = Buffer.alloc(2);
      length.writeUInt16BE(frame.length);
      return [length, frame];
    });
    this.#socket.write(Buffer.concat(records));
  }

  async receive({ matching = () => true, timeoutMs = 60_000 }: ReceiveFrameOptions = {}): Promise<Buffer> {
    const timeout = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = this.frames.find((frame) => !this.#taken.has(frame) && matching(frame));
      if (found !== undefined) {
        this.#taken.add(found);
        return found;
      }
      if (this.closed) throw new FixtureError("EXITED", `'${this.path}' was closed while a frame was awaited`);
      if (timeout.aborted) {
        const seen = this.frames.map((frame) => frame.subarray(0, 60).toString("hex")).slice(-10);
        throw new FixtureError(
          "NOT_READY",
          `no such frame at '${this.path}' after ${timeoutMs} ms; of ${this.frames.length} frames the last: ${seen.join(", ")}`,
        );
      }
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        timeout.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  clear(): void {
    this.frames.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    if (!this.closed) await new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
  }

  #data(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (this.#rest.length - at >= 2) {
      const end = at + 2 + this.#rest.readUInt16BE(at);
      if (end > this.#rest.length) break;
      const frame = Buffer.from(this.#rest.subarray(at + 2, end));
      this.frames.push(frame);
      this.onFrame(frame);
      at = end;
    }
    this.#rest = this.#rest.subarray(at);
    if (at > 0) this.#wake();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
