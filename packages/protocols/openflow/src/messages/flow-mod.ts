import { reservedPorts } from "../flow/action.ts";
import { encodeInstructions, type Flow } from "../flow/flow.ts";
import { encodeMatch, type Match } from "../flow/match.ts";
import { encodeMessage, inRange, messageType } from "../wire/message.ts";

const noBuffer = 0xffff_ffff;
const wholeCookie = 0xffff_ffff_ffff_ffffn;
const allTables = 0xff;
const commands = { add: 0, delete: 3, deleteStrict: 4 } as const;

/** A flow as the switch told it: see `FlowStats`. */
export interface InstalledFlow {
  readonly table: number;
  readonly priority: number;
  readonly match: Buffer;
  readonly cookie: bigint;
}

/** Which flows are meant. */
export interface FlowQuery {
  /** Every table where it is absent. */
  readonly table?: number;
  readonly cookie?: bigint;
  /** The bits of the cookie that count: all of them where there is a cookie and no mask. */
  readonly cookieMask?: bigint;
  /** Flows whose match says all of this, and perhaps more. */
  readonly match?: Match;
}

/**
 * Adds a flow, or replaces the one of the same table, priority and match, whose counters go on (OpenFlow 1.3.5, 7.3.4.1).
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT`
 */
export function addFlow(flow: Flow, cookie = 0n): Buffer {
  return inRange("a flow", () =>
    flowMod({
      command: commands.add,
      table: flow.table,
      priority: flow.priority,
      cookie,
      cookieMask: 0n,
      match: encodeMatch(flow.match),
      instructions: encodeInstructions(flow),
    }),
  );
}

/** Deletes the flow of this table, priority, match and cookie; one with another cookie stays. `match` is as the switch told it. */
export function deleteFlow({ table, priority, match, cookie }: InstalledFlow): Buffer {
  const command = commands.deleteStrict;
  return inRange("a flow", () => flowMod({ command, table, priority, match, cookie, cookieMask: wholeCookie }));
}

/** Deletes all flows that a query means; all flows of the bridge where it says nothing. */
export function deleteFlows(query: FlowQuery = {}): Buffer {
  const { table = allTables, match = [] } = query;
  const command = commands.delete;
  return inRange("a query", () =>
    flowMod({ command, table, priority: 0, match: encodeMatch(match), ...cookieOf(query) }),
  );
}

/** A query as requests for flows have it (OpenFlow 1.3.5, 7.3.5.2 and 7.3.5.3). */
export function encodeQuery(query: FlowQuery): Buffer {
  const { table = allTables, match = [] } = query;
  const { cookie, cookieMask } = cookieOf(query);
  return inRange("a query", () => {
    const fixed = Buffer.alloc(32);
    fixed.writeUInt8(table, 0);
    fixed.writeUInt32BE(reservedPorts.any, 4);
    fixed.writeUInt32BE(reservedPorts.any, 8);
    fixed.writeBigUInt64BE(cookie, 16);
    fixed.writeBigUInt64BE(cookieMask, 24);
    return Buffer.concat([fixed, encodeMatch(match)]);
  });
}

function cookieOf({ cookie, cookieMask }: FlowQuery): { readonly cookie: bigint; readonly cookieMask: bigint } {
  return { cookie: cookie ?? 0n, cookieMask: cookieMask ?? (cookie === undefined ? 0n : wholeCookie) };
}

function flowMod(flow: {
  readonly command: number;
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly match: Buffer;
  readonly instructions?: Buffer;
}): Buffer {
  const fixed = Buffer.alloc(40);
  fixed.writeBigUInt64BE(flow.cookie, 0);
  fixed.writeBigUInt64BE(flow.cookieMask, 8);
  fixed.writeUInt8(flow.table, 16);
  fixed.writeUInt8(flow.command, 17);
  fixed.writeUInt16BE(flow.priority, 22);
  fixed.writeUInt32BE(noBuffer, 24);
  fixed.writeUInt32BE(reservedPorts.any, 28);
  fixed.writeUInt32BE(reservedPorts.any, 32);
  return encodeMessage(messageType.flowMod, fixed, flow.match, flow.instructions ?? Buffer.alloc(0));
}
