import type { NbdErrno } from "../wire/errno.ts";
import * as wire from "../wire/wire-constants.ts";
import type { NegotiatedExport } from "./option-haggling.ts";
import type { AnsweredRequest } from "./reply-encoder.ts";
import type { NbdCommand, NbdRequest } from "./request-interceptor.ts";

/** A request as it is executed and answered. */
export interface Request extends NbdRequest, AnsweredRequest {
  /** The command's number; one that is unknown is refused, and reaches nobody under the name it then has. */
  readonly type: number;
  readonly flags: number;
}

const COMMANDS: readonly (NbdCommand | undefined)[] = [
  "read",
  "write",
  undefined,
  "flush",
  "trim",
  "cache",
  "writeZeroes",
  "blockStatus",
  "resize",
];

/** The flags that a command may carry; FUA is taken with any, as the protocol demands. */
const COMMAND_FLAGS: readonly number[] = [
  wire.CMD_FLAG_DF,
  0,
  0,
  0,
  0,
  0,
  wire.CMD_FLAG_NO_HOLE | wire.CMD_FLAG_FAST_ZERO,
  wire.CMD_FLAG_REQ_ONE,
  0,
].map((flags) => flags | wire.CMD_FLAG_FUA);

/** Reads a request's header, which stands whole in `buffer` from `at`. Undefined when its magic is wrong. */
export function parseRequest(buffer: Buffer, at: number): Request | undefined {
  if (buffer.readUInt32BE(at) !== wire.REQUEST_MAGIC) return undefined;
  const flags = buffer.readUInt16BE(at + 4);
  const type = buffer.readUInt16BE(at + 6);
  return {
    type,
    command: COMMANDS[type] ?? "flush",
    // Above 2^53 the sum is inexact, but then it lies beyond the end of any export.
    offset: buffer.readUInt32BE(at + 16) * 0x1_0000_0000 + buffer.readUInt32BE(at + 20),
    length: buffer.readUInt32BE(at + 24),
    fua: (flags & wire.CMD_FLAG_FUA) !== 0,
    cookieHigh: buffer.readUInt32BE(at + 8),
    cookieLow: buffer.readUInt32BE(at + 12),
    flags,
  };
}

/** What is wrong with a request's shape or range; undefined for one that may be executed. */
export function refusalOf(request: Request, negotiated: NegotiatedExport): NbdErrno | undefined {
  const { target, structured, contexts } = negotiated;
  const { type, offset, length, flags } = request;
  if (COMMANDS[type] === undefined) return "EINVAL";
  if (target.isStopped) return "ESHUTDOWN";
  const { backend, readOnly } = target;
  if ((flags & ~(COMMAND_FLAGS[type] ?? 0)) !== 0) return "EINVAL";
  if ((flags & wire.CMD_FLAG_DF) !== 0 && !structured) return "EINVAL";
  if ((flags & wire.CMD_FLAG_FAST_ZERO) !== 0 && backend.fastZeroes !== true) return "EINVAL";
  const isBeyond = offset + length > target.sizeBytes;
  switch (type) {
    case wire.CMD_FLUSH:
      return offset === 0 && length === 0 ? undefined : "EINVAL";
    case wire.CMD_READ:
      return isBeyond || length > wire.MAX_PAYLOAD_BYTES ? "EINVAL" : undefined;
    case wire.CMD_BLOCK_STATUS:
      return isBeyond || length === 0 || contexts.length === 0 ? "EINVAL" : undefined;
    case wire.CMD_CACHE:
      return isBeyond || !backend.cache ? "EINVAL" : undefined;
  }
  if (readOnly) return "EPERM";
  if (type === wire.CMD_RESIZE) {
    if (length !== 0 || !target.canResize) return "EINVAL";
    return Number.isSafeInteger(offset) ? undefined : "ENOSPC";
  }
  if (type === wire.CMD_TRIM && !backend.trim) return "EINVAL";
  if (type === wire.CMD_WRITE_ZEROES && !backend.writeZeroes) return "EINVAL";
  if (!isBeyond) return undefined;
  return type === wire.CMD_TRIM ? "EINVAL" : "ENOSPC";
}
