import { encodeField, encodeMatch, type FieldName, type Match, padding } from "./match.ts";
import { OpenFlowError } from "./openflow-error.ts";

/** What is done with a frame. */
export type Action =
  | { readonly kind: "output"; readonly port: number; readonly maxLength?: number }
  /** Sends the frame to whoever speaks OpenFlow, cut to `maxLength` octets. */
  | { readonly kind: "toController"; readonly maxLength: number }
  | { readonly kind: "set"; readonly field: FieldName; readonly value: bigint }
  | { readonly kind: "pushVlan" }
  | { readonly kind: "popVlan" }
  /** Looks the frame up in another table, and goes on with the next action. */
  | { readonly kind: "resubmit"; readonly table: number }
  /** Does these to a copy of the frame. */
  | { readonly kind: "clone"; readonly actions: readonly Action[] };

/** A flow: who its table, priority and match are equal is the same flow. No actions and no next table: the frame is dropped. */
export interface Flow {
  readonly table: number;
  /** The highest that matches is taken. */
  readonly priority: number;
  readonly match: Match;
  /** The meter that may drop the frame before anything else. */
  readonly meter?: number;
  readonly actions?: readonly Action[];
  /** Where the frame is looked up next. */
  readonly next?: number;
}

const nicira = 0x00002320;
const longest = 0xffff;

/** The instructions of a flow (OpenFlow 1.3.5, 7.2.4). */
export function encodeInstructions({ meter, actions = [], next }: Flow): Buffer {
  const parts: Buffer[] = [];
  if (meter !== undefined) parts.push(Buffer.concat([numbers16(6, 8), number32(meter)]));
  if (actions.length > 0) {
    const body = Buffer.concat(actions.map(encodeAction));
    const length = 8 + body.length;
    if (length > longest) {
      throw new OpenFlowError(
        "OPENFLOW_INVALID_ARGUMENT",
        `the actions of a flow have ${length} octets, and may have ${longest}`,
      );
    }
    parts.push(Buffer.concat([numbers16(4, length), Buffer.alloc(4), body]));
  }
  if (next !== undefined) parts.push(Buffer.concat([numbers16(1, 8), Buffer.from([next, 0, 0, 0])]));
  return Buffer.concat(parts);
}

/** What makes a flow the one that it is: its table, priority and match. */
export function flowIdentity({ table, priority, match }: Flow): string {
  return `${table}/${priority}/${encodeMatch(match).toString("latin1")}`;
}

function encodeAction(action: Action): Buffer {
  switch (action.kind) {
    case "output": {
      if (action.maxLength === undefined) {
        return Buffer.concat([numbers16(0, 16), number32(action.port), numbers16(0xffff), Buffer.alloc(6)]);
      }
      // NXAST_OUTPUT_TRUNC
      return vendorAction(39, Buffer.concat([numbers16(action.port), number32(action.maxLength)]));
    }
    case "toController":
      return Buffer.concat([numbers16(0, 16), number32(0xffff_fffd), numbers16(action.maxLength), Buffer.alloc(6)]);
    case "set": {
      const field = encodeField({ field: action.field, value: action.value });
      const length = 4 + field.length;
      const pad = padding(length);
      return Buffer.concat([numbers16(25, length + pad), field, Buffer.alloc(pad)]);
    }
    case "pushVlan":
      return Buffer.concat([numbers16(17, 8, 0x8100), Buffer.alloc(2)]);
    case "popVlan":
      return Buffer.concat([numbers16(18, 8), Buffer.alloc(4)]);
    case "resubmit":
      // NXAST_RESUBMIT_TABLE, with the port that the frame came in by (OFPP_IN_PORT)
      return vendorAction(14, Buffer.concat([numbers16(0xfff8), Buffer.from([action.table, 0, 0, 0])]));
    case "clone":
      return vendorAction(42, Buffer.concat([Buffer.alloc(6), ...action.actions.map(encodeAction)]));
  }
}

function vendorAction(subtype: number, body: Buffer): Buffer {
  const length = 10 + body.length;
  const pad = padding(length);
  return Buffer.concat([
    numbers16(0xffff, length + pad),
    number32(nicira),
    numbers16(subtype),
    body,
    Buffer.alloc(pad),
  ]);
}

function numbers16(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 2);
  values.forEach((value, at) => {
    buffer.writeUInt16BE(value, at * 2);
  });
  return buffer;
}

function number32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}
