/**
 * The wire protocol of VDC-OS: how a plugin, a host runtime or a data plane is reached in another process. `docs/wire-protocol.md` tells it to
 * authors in other languages, with transcripts.
 *
 * # Framing
 *
 * JSON-RPC 2.0 over one byte stream, each message preceded by `Content-Length: <bytes>\r\n\r\n`, as in the Language Server
 * Protocol, so that a plugin can be written in any language that has an LSP-style JSON-RPC library. Text is UTF-8. No batches.
 * A message is at most `defaultMaxMessageBytes` long and its header at most `maxHeaderBytes`; a peer that sends more,
 * or anything that is not a message, loses the connection. Both peers may send requests.
 *
 * # Methods
 *
 * All parameters are by position.
 *
 * | method | kind | parameters | result |
 * | --- | --- | --- | --- |
 * | `hello` | request | {@link PeerInfo} of the sender | {@link PeerInfo} of the receiver |
 * | `list` | request | | {@link ProviderInfo}`[]`, as of now |
 * | `ping` | request | | null; a peer that does not answer hangs |
 * | `c` | request | call, point, name, operation, input, {@link CallMeta}? | the operation's result, null when it has none |
 * | `s` | request | call, point, name, operation, input, {@link CallMeta} with `n` | null, after the last item |
 * | `i` | notification | call, item | one item of stream `call` |
 * | `g` | notification | call, count | lets the stream send `count` more items |
 * | `p` | notification | call, `Progress` | progress of `call` |
 * | `$/cancelRequest` | notification | by name: `{ id }` | ends a request early (LSP) |
 *
 * - `call` is a positive integer that the caller chooses; it is unique among its calls in flight.
 * - `operation` is the operation's name, or `facet.name` for an operation of a facet.
 * - A stream sends an item only against credit: it begins with `n` of its meta, and the consumer grants more with `g` as it reads.
 *   More items than credit is a violation, and costs the connection. The response of `s` ends the stream. Cancelling `s`, or losing
 *   the connection, ends the producer.
 * - An error is `{ code: -32000, message, data }` with `data` a `SerializedError`.
 *
 * # A plugin in a child process
 *
 * The parent starts the child with the channel at file descriptor 3 (a socket, both ways); a program in another language may ask for
 * standard input and output instead. The end of the channel means that the other side is gone: the child must exit.
 *
 * | method | direction | parameters | result |
 * | --- | --- | --- | --- |
 * | `start` | to the child | `{ id, module, config, providers }`: what the parent provides to it | {@link ProviderInfo}`[]` |
 * | `stop` | to the child | | null when everything is released |
 * | `log` | to the parent, notification | level, message, fields? | |
 * | `degraded` | to the parent, notification | reason or null | |
 *
 * # A data plane's control socket
 *
 * A Unix socket that answers `ping` and the data plane's own methods, each with one parameter (any JSON value).
 */
export const wireProtocol = 1;

/** The longest message that is sent or accepted, in bytes. Defaults to 8 MiB. */
export const defaultMaxMessageBytes: number = 8 * 1024 * 1024;

/** The longest header of a message, in bytes. */
export const maxHeaderBytes = 256;

/** How many requests of a peer may run at once before further ones are refused with `RESOURCE_EXHAUSTED`. */
export const defaultMaxCallsInFlight = 1024;

/** How many bytes may wait for a peer that does not read before the connection is given up. */
export const defaultMaxBufferedBytes: number = 64 * 1024 * 1024;

/** How many items of a stream may be on their way to a consumer. */
export const defaultStreamWindow = 16;

/** The code of JSON-RPC errors whose `data` is a serialized `VdcError`. */
export const vdcErrorNumber = -32000;

/** What each side says of itself in `hello`. */
export interface PeerInfo {
  readonly protocol: number;
  /** The version of `@vdc-os/core`. A program that is not built on it leaves it out. */
  readonly core?: string;
  readonly providers: readonly ProviderInfo[];
}

/** A provider that a peer serves. */
export interface ProviderInfo {
  readonly point: string;
  /** The contract's version, `major.minor`. */
  readonly version: string;
  readonly name: string;
  /** The facets that it implements. */
  readonly facets: readonly string[];
}

/** What surrounds a call. Every member is optional. */
export interface CallMeta {
  /** How long the caller still waits, in milliseconds: clocks differ, durations do not. */
  readonly d?: number;
  /** Idempotency key. */
  readonly k?: string;
  /** Tenant, unless it is `default`. */
  readonly t?: string;
  /** W3C `traceparent`. */
  readonly w?: string;
  /** W3C `tracestate`. */
  readonly x?: string;
  /** A stream's first credit, in items. */
  readonly n?: number;
}
