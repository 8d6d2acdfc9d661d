import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from "node:http2";
import { connect as connectSocket } from "node:net";
import { VdcError } from "@vdc-os/core";
import { type FrameError, FrameReader } from "./frame-reader.ts";
import type { Sparse } from "./message.ts";
import { defaultMaxMessageBytes, frame, type Method } from "./method.ts";
import { codeOf, decodeStatusText } from "./status.ts";

/** Options of {@link GrpcChannel}. */
export interface GrpcChannelOptions {
  readonly socketPath: string;
  /** The largest answer that is taken, in bytes. Defaults to 4 MiB. */
  readonly maxMessageBytes?: number | undefined;
}

/** Options of {@link GrpcChannel.call}. */
export interface GrpcCallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The client's side of gRPC over HTTP/2 on a Unix socket: unary calls alone, which is what CSI has. It connects when it is first called, and again
 * after the peer went away.
 *
 * Nothing that the peer does makes a call wait longer than its time limit, or hold more than the largest message: no answer is
 * `DEADLINE_EXCEEDED`, a lost connection `UNAVAILABLE`, and an answer that is not one `INTERNAL` with reason `VDC_CSI_BAD_ANSWER`. A status that the
 * peer answers with keeps its code, with reason `VDC_CSI_STATUS`.
 */
export class GrpcChannel {
  readonly #options: GrpcChannelOptions;
  #session: ClientHttp2Session | undefined;
  #calls = 0;
  #closed = false;

  constructor(options: GrpcChannelOptions) {
    this.#options = options;
  }

  get socketPath(): string {
    return this.#options.socketPath;
  }

  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Sparse<Request>,
    options: GrpcCallOptions,
  ): Promise<Response> {
    options.signal?.throwIfAborted();
    const body = frame(method.request.encode(request));
    const session = this.#connected();
    if (this.#calls++ === 0) session.ref();
    try {
      const answer = await exchange(session, method.path, body, {
        ...options,
        limit: this.#options.maxMessageBytes ?? defaultMaxMessageBytes,
      });
      return decode(method, answer);
    } finally {
      if (--this.#calls === 0 && !session.destroyed) session.unref();
    }
  }

  /** Ends the connection; calls in flight fail. Nothing can be called any more. */
  close(): void {
    this.#closed = true;
    this.#session?.destroy();
  }

  #connected(): ClientHttp2Session {
    if (this.#closed) throw new VdcError("UNAVAILABLE", `the connection to '${this.socketPath}' was closed`);
    const present = this.#session;
    if (present !== undefined && !present.closed && !present.destroyed) return present;
    const session = connectHttp2("http://localhost", {
      createConnection: () => connectSocket(this.#options.socketPath),
      // A peer that opens streams to its client, or floods it with settings, is cut off by the library itself.
      settings: { enablePush: false },
    });
    // A failure reaches the calls through their streams.
    session.on("error", () => {});
    session.on("goaway", () => session.close());
    session.unref();
    this.#session = session;
    return session;
  }
}

function decode<Request, Response>(method: Method<Request, Response>, answer: Uint8Array): Response {
  try {
    return method.response.decode(answer);
  } catch (cause) {
    throw badAnswer(method.path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** One request and its answer. */
function exchange(
  session: ClientHttp2Session,
  path: string,
  body: Buffer,
  options: GrpcCallOptions & { readonly limit: number },
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stream: ClientHttp2Stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": `${Math.min(99_999_999, Math.ceil(options.timeoutMs))}m`,
      "user-agent": "vdc-os-csi",
    });
    const reader = new FrameReader(options.limit);
    let status: { readonly code: number; readonly text: string } | undefined;
    let failure: unknown;
    const giveUp = (error: unknown): void => {
      failure ??= error;
      stream.close(constants.NGHTTP2_CANCEL);
      finish();
    };
    const onAbort = (): void => giveUp(options.signal?.reason);
    const timer = setTimeout(
      () =>
        giveUp(
          new VdcError("DEADLINE_EXCEEDED", `'${path}' was not answered within ${options.timeoutMs} ms`, {
            reason: "VDC_CSI_NO_ANSWER",
          }),
        ),
      options.timeoutMs,
    );
    const finish = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
      try {
        if (failure !== undefined) throw failure;
        resolve(answerOf(path, status, reader));
      } catch (error) {
        reject(error);
      }
    };
    const takeStatus = (headers: Readonly<Record<string, string | string[] | number | undefined>>): void => {
      const code = headers["grpc-status"];
      if (code === undefined) return;
      status = { code: Number(code), text: decodeStatusText(headers["grpc-message"]?.toString()) };
    };
    stream.on("response", (headers) => {
      takeStatus(headers);
      const type = String(headers["content-type"] ?? "");
      if (headers[":status"] === 200 && (type.startsWith("application/grpc") || status !== undefined)) return;
      giveUp(badAnswer(path, `HTTP status ${headers[":status"]} of type '${type.slice(0, 60)}'`));
    });
    stream.on("trailers", takeStatus);
    stream.on("data", (chunk: Buffer) => {
      if (failure !== undefined) return;
      try {
        reader.push(chunk);
      } catch (error) {
        giveUp(badAnswer(path, (error as FrameError).message, error));
      }
    });
    stream.on("error", (cause) => {
      failure ??= new VdcError("UNAVAILABLE", `the connection was lost during '${path}'`, {
        reason: "VDC_CSI_UNREACHABLE",
        cause,
      });
    });
    stream.on("close", () => {
      if (status === undefined && failure === undefined && stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
        failure = new VdcError("UNAVAILABLE", `'${path}' was broken off by the peer (HTTP/2 code ${stream.rstCode})`, {
          reason: "VDC_CSI_UNREACHABLE",
        });
      }
      finish();
    });
    options.signal?.addEventListener("abort", onAbort, { once: true });
    stream.end(body);
  });
}

function answerOf(
  path: string,
  status: { readonly code: number; readonly text: string } | undefined,
  reader: FrameReader,
): Uint8Array {
  if (status === undefined) {
    throw new VdcError("UNAVAILABLE", `'${path}' was not answered: the peer ended the call without a status`, {
      reason: "VDC_CSI_UNREACHABLE",
    });
  }
  if (status.code !== 0) {
    throw new VdcError(codeOf(status.code), status.text === "" ? `'${path}' failed` : status.text, {
      reason: "VDC_CSI_STATUS",
      details: { method: path },
    });
  }
  try {
    // An answer without any fields may come as no message at all from lax peers; it means the same.
    return reader.end() ?? new Uint8Array();
  } catch (error) {
    throw badAnswer(path, (error as FrameError).message, error);
  }
}

function badAnswer(path: string, text: string, cause?: unknown): VdcError {
  return new VdcError("INTERNAL", `the answer to '${path}' can't be read: ${text}`, {
    reason: "VDC_CSI_BAD_ANSWER",
    cause,
  });
}
