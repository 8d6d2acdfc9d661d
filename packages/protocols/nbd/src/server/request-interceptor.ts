import type { PeerCertificate } from "node:tls";
import type { BlockResult } from "../block-backend.ts";

/** A command that reaches a backend. */
export type NbdCommand = "read" | "write" | "flush" | "trim" | "cache" | "writeZeroes" | "blockStatus" | "resize";

/** A request whose shape and range the server has checked. */
export interface NbdRequest {
  readonly command: NbdCommand;
  /** In bytes; 0 for `flush`, the new size for `resize`. */
  readonly offset: number;
  /** In bytes; 0 for `flush` and `resize`. */
  readonly length: number;
  /** True when the answer must wait until what was written is on stable storage. */
  readonly fua: boolean;
}

/** A client's connection to one export. */
export interface NbdConnection {
  /** Unique within the server. */
  readonly id: number;
  readonly exportName: string;
  /** True when the client speaks TLS. */
  readonly isEncrypted: boolean;
  /** What the client showed of itself; the server has verified it. Undefined where none was demanded. */
  readonly peerCertificate: PeerCertificate | undefined;
  /** Ends the connection at once; requests in flight finish without an answer. */
  destroy(): void;
}

/**
 * What stands between the wire and a backend: fencing, epochs, quality of service.
 *
 * A method that throws (or rejects) refuses the request with the error of the same name as its `code`, as a backend's would be; the
 * backend is not called. To fence: let `before` throw once revoked, count up in `before` and down in `after`, and await zero.
 */
export interface RequestInterceptor {
  /** A client has chosen the export; throwing refuses it (`NBD_REP_ERR_POLICY`). */
  open?(connection: NbdConnection): void;
  /** Before the backend is called. A promise delays this request alone; meanwhile it counts against the connection's limits. */
  before?(request: NbdRequest, connection: NbdConnection): BlockResult;
  /** Exactly once for each request that `before` let pass, when the backend has finished it, also if the client has left. */
  after?(request: NbdRequest, connection: NbdConnection, error: unknown): void;
  /** The connection has ended. Requests of it may still be in flight. */
  closed?(connection: NbdConnection): void;
}
