import { constants, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { toVdcError, VdcError } from "@vdc-os/core";
import { listenUnix } from "@vdc-os/core/remote";
import { FrameError, FrameReader } from "./frame-reader.ts";
import type { Sparse } from "./message.ts";
import { defaultMaxMessageBytes, frame, type Method } from "./method.ts";
import { encodeStatusText, statusOf } from "./status.ts";

/** What a call's handler is told beside the request. */
export interface GrpcCall {
  /** Aborts when the caller cancels, goes away, or stops waiting. */
  readonly signal: AbortSignal;
  /** How long the caller waits, from the start. `undefined` when it did not say. */
  readonly timeoutMs: number | undefined;
}

/** A method with what answers it. */
export interface GrpcHandler {
  readonly path: string;
  answer(request: Uint8Array, call: GrpcCall): Promise<Uint8Array>;
}

/** Binds a method to what answers it. Errors that it throws become the status of their code. */
export function handler<Request, Response>(
  method: Method<Request, Response>,
  run: (request: Request, call: GrpcCall) => Promise<Sparse<Response>>,
): GrpcHandler {
  return {
    path: method.path,
    async answer(bytes, call) {
      let request: Request;
      try {
        request = method.request.decode(bytes);
      } catch (cause) {
        throw new VdcError("INVALID_ARGUMENT", `the request can't be read: ${(cause as Error).message}`, { cause });
      }
      return method.response.encode(await run(request, call));
    },
  };
}

/** Options of {@link serveGrpc}. */
export interface ServeGrpcOptions {
  readonly socketPath: string;
  readonly handlers: readonly GrpcHandler[];
  /** The largest request that is taken, in bytes. Defaults to 4 MiB. */
  readonly maxMessageBytes?: number | undefined;
}

/** A gRPC server that runs. */
export interface GrpcServer extends AsyncDisposable {
  readonly socketPath: string;
  /** Ends all connections, and removes the socket. */
  close(): Promise<void>;
}

/** Serves unary methods over HTTP/2 on a Unix socket of mode 0600. A socket that a dead process left is replaced. */
export async function serveGrpc(options: ServeGrpcOptions): Promise<GrpcServer> {
  const { socketPath, handlers, maxMessageBytes = defaultMaxMessageBytes } = options;
  const byPath = new Map(handlers.map((entry) => [entry.path, entry]));
  const http = createServer();
  http.on("sessionError", () => {});
  http.on("stream", (stream, headers) => void serveStream(stream, headers, byPath, maxMessageBytes));
  const unix = await listenUnix(socketPath, (socket) => void http.emit("connection", socket));
  return { socketPath, close: () => unix.close(), [Symbol.asyncDispose]: () => unix.close() };
}

async function serveStream(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  handlers: ReadonlyMap<string, GrpcHandler>,
  limit: number,
): Promise<void> {
  const caller = new AbortController();
  stream.on("error", () => {});
  stream.on("close", () => caller.abort(new VdcError("CANCELLED", "the caller has gone")));
  if (headers[":method"] !== "POST" || !String(headers["content-type"]).startsWith("application/grpc")) {
    stream.respond({ ":status": headers[":method"] === "POST" ? 415 : 405 }, { endStream: true });
    stream.close(constants.NGHTTP2_NO_ERROR);
    return;
  }
  const timeoutMs = readTimeout(headers["grpc-timeout"]);
  const deadline = new VdcError("DEADLINE_EXCEEDED", "the caller's time is over");
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => caller.abort(deadline), timeoutMs);
  timer?.unref();
  try {
    const found = handlers.get(String(headers[":path"]));
    if (found === undefined) throw new VdcError("UNIMPLEMENTED", `there is no method '${headers[":path"]}' here`);
    const request = await readRequest(stream, limit);
    const answer = await found.answer(request, { signal: caller.signal, timeoutMs });
    respond(stream, answer);
  } catch (error) {
    refuse(stream, toVdcError(error));
  } finally {
    clearTimeout(timer);
  }
}

/** By events: leaving a loop over the stream early would end it before the status is sent. */
async function readRequest(stream: ServerHttp2Stream, limit: number): Promise<Uint8Array> {
  const reader = new FrameReader(limit);
  try {
    await new Promise<void>((resolve, reject) => {
      stream.on("data", (chunk: Buffer) => {
        try {
          reader.push(chunk);
        } catch (error) {
          stream.removeAllListeners("data");
          reject(error);
        }
      });
      stream.once("end", resolve);
      stream.once("close", () => reject(new VdcError("CANCELLED", "the caller has gone")));
    });
    const request = reader.end();
    if (request !== undefined) return request;
    throw new FrameError("malformed", "there is no request");
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    throw new VdcError(codeOfFrame[error.kind], error.message, { cause: error });
  }
}

const codeOfFrame = {
  tooLarge: "RESOURCE_EXHAUSTED",
  compressed: "UNIMPLEMENTED",
  malformed: "INVALID_ARGUMENT",
} as const satisfies Record<FrameError["kind"], string>;

function respond(stream: ServerHttp2Stream, answer: Uint8Array): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(frame(answer));
}

/** A failed call has no message: its status comes with the headers. */
function refuse(stream: ServerHttp2Stream, error: VdcError): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": String(statusOf(error.code)),
      "grpc-message": encodeStatusText(error.message),
    },
    { endStream: true },
  );
  // What the caller still sends is not wanted (RFC 9113, 8.1).
  stream.resume();
  stream.once("finish", () => stream.close(constants.NGHTTP2_NO_ERROR));
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** The header `grpc-timeout`: at most eight digits and a unit. */
function readTimeout(header: string | string[] | undefined): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(String(header ?? "")) ?? [];
  // A longer time than a timer can count is as good as none.
  return digits === undefined ? undefined : Math.min(Number(digits) * (unitMs[unit] ?? 1), 0x7fff_ffff);
}
