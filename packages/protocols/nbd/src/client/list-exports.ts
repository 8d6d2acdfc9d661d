import type { Duplex } from "node:stream";
import { NbdError } from "../nbd-error.ts";
import * as wire from "../wire/wire-constants.ts";
import { ask, type Exchange, protocolError, sendOption } from "./client-handshake.ts";
import { type NbdAddress, type NbdReachOptions, openConnection } from "./open-connection.ts";

/** An export as a server lists it. */
export interface NbdListedExport {
  readonly name: string;
  /** For people; empty where the server has none. */
  readonly description: string;
}

/** The exports that a server tells of; some tell of none, or only of those that this client may use. */
export async function listExports(address: NbdAddress, options: NbdReachOptions = {}): Promise<NbdListedExport[]> {
  return openConnection(address, options, {
    what: "the list of exports",
    exchange: (socket) => list(socket),
    onDone: (socket, exports) => {
      socket.destroy();
      return exports;
    },
  });
}

function* list(socket: Duplex): Exchange<NbdListedExport[]> {
  const exports: NbdListedExport[] = [];
  const { type, text } = yield* ask(socket, wire.OPT_LIST, Buffer.alloc(0), (type, reply) => {
    const nameBytes = reply.length >= 4 ? reply.readUInt32BE(0) : Number.POSITIVE_INFINITY;
    if (type !== wire.REP_SERVER || 4 + nameBytes > reply.length) throw protocolError("a malformed entry of its list");
    const name = reply.toString("utf8", 4, 4 + nameBytes);
    exports.push({ name, description: reply.toString("utf8", 4 + nameBytes) });
  });
  if (type !== wire.REP_ACK) {
    throw new NbdError("NBD_REFUSED", `the server refused to list its exports with 0x${type.toString(16)}${text}`);
  }
  sendOption(socket, wire.OPT_ABORT, Buffer.alloc(0));
  return exports;
}
