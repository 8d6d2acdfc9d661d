import type { BlockBackend } from "../block-backend.ts";
import { FlushCombiner } from "./flush-combiner.ts";
import { NbdError } from "../nbd-error.ts";
import type { RequestInterceptor } from "./request-interceptor.ts";
import {
  FLAG_CAN_MULTI_CONN,
  FLAG_HAS_FLAGS,
  FLAG_READ_ONLY,
  FLAG_SEND_CACHE,
  FLAG_SEND_DF,
  FLAG_SEND_FAST_ZERO,
  FLAG_SEND_FLUSH,
  FLAG_SEND_FUA,
  FLAG_SEND_RESIZE,
  FLAG_SEND_TRIM,
  FLAG_SEND_WRITE_ZEROES,
  MAX_STRING_BYTES,
} from "../wire/wire-constants.ts";

export interface NbdExportOptions {
  /** What clients ask for; at most 4096 bytes of UTF-8 without NUL. The empty name is the default export. */
  readonly name: string;
  readonly backend: BlockBackend;
  /** For people, in a client's list. */
  readonly description?: string;
  /** Offers the export read-only, whatever the backend says. Defaults to false. */
  readonly readOnly?: boolean;
  /** Keeps the export from clients without TLS, where a listener lets them in. Defaults to false. */
  readonly tlsOnly?: boolean;
  /** Lets clients change the size of a backend that has `resize`. The protocol's extension for that is not final. Defaults to false. */
  readonly allowResize?: boolean;
  readonly interceptor?: RequestInterceptor;
}

/** An export and what is in flight on it. */
export class NbdExport {
  readonly name: string;
  readonly description: string | undefined;
  readonly backend: BlockBackend;
  readonly interceptor: RequestInterceptor | undefined;
  readonly readOnly: boolean;
  readonly tlsOnly: boolean;
  /** Whether clients may change its size. */
  readonly canResize: boolean;
  readonly flushes: FlushCombiner;
  /** Requests that the backend or the interceptor has not finished. */
  #inFlight = 0;
  #stopped = false;
  #sizeBytes: number;
  #idleWaiters: (() => void)[] = [];

  constructor(options: NbdExportOptions) {
    const { name, backend, description, interceptor } = options;
    for (const [what, text] of [
      ["name", name],
      ["description", description ?? ""],
    ] as const) {
      if (Buffer.byteLength(text) > MAX_STRING_BYTES || text.includes("\0")) {
        const rule = `an export's ${what} has at most ${MAX_STRING_BYTES} bytes and no NUL`;
        throw new NbdError("NBD_INVALID_ARGUMENT", `the export '${name.slice(0, 40)}' was refused: ${rule}`);
      }
    }
    if (!isSize(backend.sizeBytes)) {
      const text = `the export '${name}' was refused: its size '${backend.sizeBytes}' is not a safe integer`;
      throw new NbdError("NBD_INVALID_ARGUMENT", text);
    }
    this.name = name;
    this.backend = backend;
    this.description = description;
    this.interceptor = interceptor;
    this.readOnly = options.readOnly === true || backend.readOnly === true;
    this.tlsOnly = options.tlsOnly === true;
    this.canResize = options.allowResize === true && !this.readOnly && backend.resize !== undefined;
    this.#sizeBytes = backend.sizeBytes;
    this.flushes = new FlushCombiner(backend);
  }

  /** True once the export answers every request with `ESHUTDOWN`. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  /** The backend's size now. Should it ever answer with what is no size, the last one holds. */
  get sizeBytes(): number {
    const { sizeBytes } = this.backend;
    if (sizeBytes !== this.#sizeBytes && isSize(sizeBytes)) this.#sizeBytes = sizeBytes;
    return this.#sizeBytes;
  }

  /** The transmission flags ("Transmission flags"): only what is implemented. */
  flags(structured: boolean): number {
    const { backend } = this;
    let flags = FLAG_HAS_FLAGS | FLAG_SEND_FLUSH | FLAG_SEND_FUA;
    if (this.readOnly) flags |= FLAG_READ_ONLY;
    if (!this.readOnly && backend.trim) flags |= FLAG_SEND_TRIM;
    if (!this.readOnly && backend.writeZeroes) {
      flags |= FLAG_SEND_WRITE_ZEROES;
      if (backend.fastZeroes) flags |= FLAG_SEND_FAST_ZERO;
    }
    if (this.canResize) flags |= FLAG_SEND_RESIZE;
    if (backend.cache) flags |= FLAG_SEND_CACHE;
    if (backend.sharedFlush) flags |= FLAG_CAN_MULTI_CONN;
    if (structured) flags |= FLAG_SEND_DF;
    return flags;
  }

  begin(): void {
    this.#inFlight++;
  }

  end(): void {
    this.#inFlight--;
    if (this.#inFlight > 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }

  /** Refuses every further request. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when nothing is in flight. */
  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
