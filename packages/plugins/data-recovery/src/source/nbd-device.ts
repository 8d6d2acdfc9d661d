import { type ErrorCode, VdcError } from "@vdc-os/core";
import { type NbdAddress, NbdClient, type NbdError } from "@vdc-os/nbd";
import type { BlockDevice, OpenDeviceOptions, ZeroExtent } from "./block-device.ts";

/** How often a read is tried over a new connection, and how long it waits before, in milliseconds. */
const reconnectDelaysMs: readonly number[] = [50, 200, 1000, 3000];
/** How much is asked about at once. */
const statusBytes = 1024 * 1024 * 1024;

/**
 * A disk behind an NBD server. A disk that is only read rides out a restart of the server: a read that lost its connection is made again over a new one.
 * A write that did fails, because what was written before it may be lost.
 */
export class NbdDevice implements BlockDevice {
  readonly sizeBytes: number;
  readonly zeroExtents?: NonNullable<BlockDevice["zeroExtents"]>;
  readonly #connect: (signal: AbortSignal) => Promise<NbdClient>;
  readonly #writable: boolean;
  #client: NbdClient;
  #connecting: Promise<NbdClient> | undefined;
  #closed = false;

  private constructor(client: NbdClient, connect: (signal: AbortSignal) => Promise<NbdClient>, writable: boolean) {
    this.#client = client;
    this.#connect = connect;
    this.#writable = writable;
    this.sizeBytes = client.sizeBytes;
    if (client.canBlockStatus) this.zeroExtents = (...range) => this.#zeroExtents(...range);
  }

  static async open(address: NbdAddress, exportName: string, options: OpenDeviceOptions): Promise<NbdDevice> {
    const connect = (signal: AbortSignal): Promise<NbdClient> => NbdClient.connect(address, { exportName, signal });
    const client = await coded(() => connect(options.signal));
    return new NbdDevice(client, connect, options.writable);
  }

  read(target: Buffer, offset: number, signal: AbortSignal): Promise<void> {
    return this.#reading(signal, (client) => client.read(target, offset, { signal }));
  }

  write(source: Buffer, offset: number, signal: AbortSignal): Promise<void> {
    return coded(() => this.#client.write(source, offset, { signal }));
  }

  async writeZeroes(offset: number, length: number, signal: AbortSignal): Promise<void> {
    const client = this.#client;
    if (client.canWriteZeroes) return coded(() => client.writeZeroes(offset, length, { signal }));
    const zeroes = Buffer.alloc(Math.min(length, 1024 * 1024));
    for (let at = 0; at < length; at += zeroes.length) {
      await this.write(zeroes.subarray(0, Math.min(zeroes.length, length - at)), offset + at, signal);
    }
  }

  flush(signal: AbortSignal): Promise<void> {
    return coded(() => this.#client.flush({ signal }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#connecting?.catch(() => {});
    await this.#client.close().catch(() => {});
  }

  async *#zeroExtents(offset: number, length: number, signal: AbortSignal): AsyncGenerator<ZeroExtent> {
    for (let at = offset; at < offset + length; ) {
      const asked = Math.min(statusBytes, offset + length - at);
      const extents = await this.#reading(signal, (client) => client.blockStatus(at, asked, { signal }));
      for (const extent of extents) {
        yield { offset: at, length: extent.length, zero: extent.kind !== "data" };
        at += extent.length;
      }
    }
  }

  /** Runs a request that changes nothing, again over a new connection where the present one is lost. */
  async #reading<T>(signal: AbortSignal, run: (client: NbdClient) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const client = this.#client;
      try {
        return await run(client);
      } catch (error) {
        const delayMs = reconnectDelaysMs[attempt];
        const { code } = error as NbdError;
        const lost = code === "NBD_CLOSED" || code === "NBD_TIMEOUT" || code === "NBD_CONNECT_FAILED";
        if (this.#writable || this.#closed || !lost || delayMs === undefined) throw codedError(error);
        await this.#reconnect(client, delayMs, signal).catch(() => {});
        signal.throwIfAborted();
      }
    }
  }

  /** Replaces a lost connection. All requests that were on it share the new one. */
  async #reconnect(lost: NbdClient, delayMs: number, signal: AbortSignal): Promise<void> {
    if (this.#client !== lost) return;
    this.#connecting ??= (async () => {
      await lost.close().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      return this.#connect(signal);
    })();
    try {
      const client = await this.#connecting;
      if (this.#client !== lost) return;
      if (client.sizeBytes !== this.sizeBytes) {
        await client.close();
        throw new VdcError("ABORTED", `the disk has ${client.sizeBytes} bytes now, and had ${this.sizeBytes}`);
      }
      this.#client = client;
    } finally {
      this.#connecting = undefined;
    }
  }
}

async function coded<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw codedError(error);
  }
}

function codedError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== "NbdError") return error;
  const { code, errno } = error as NbdError;
  let ours: ErrorCode = "UNAVAILABLE";
  if (code === "NBD_ABORTED") ours = "CANCELLED";
  else if (code === "NBD_UNSUPPORTED") ours = "UNIMPLEMENTED";
  else if (code === "NBD_INVALID_ARGUMENT") ours = "OUT_OF_RANGE";
  else if (code === "NBD_PROTOCOL") ours = "INTERNAL";
  else if (code === "NBD_REQUEST_FAILED" && errno === "ENOSPC") ours = "RESOURCE_EXHAUSTED";
  else if (code === "NBD_REQUEST_FAILED" && errno === "EIO") ours = "DATA_LOSS";
  else if (code === "NBD_REQUEST_FAILED" && errno === "EPERM") ours = "FAILED_PRECONDITION";
  return new VdcError(ours, error.message, { cause: error });
}
