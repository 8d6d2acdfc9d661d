import { experimenters } from "../wire/message.ts";
import { numbers16, numbers32, padding } from "../wire/octets.ts";
import type { FieldName } from "./field.ts";
import { encodeField } from "./match.ts";

/** What is done with a frame (OpenFlow 1.3.5, 7.2.5; `output` with a length, `resubmit` and `clone` are Open vSwitch's: ovs-actions(7)). */
export type Action =
  /** Sends the frame out by a port; with `maxLength`, cut to so many octets, 14 or more. */
  | { readonly kind: "output"; readonly port: number; readonly maxLength?: number }
  /** Sends the frame to whoever speaks OpenFlow; `maxLength` octets of it, or more: Open vSwitch, which keeps no frames, sends all. */
  | { readonly kind: "toController"; readonly maxLength: number }
  | { readonly kind: "set"; readonly field: FieldName; readonly value: bigint }
  | { readonly kind: "pushVlan" }
  | { readonly kind: "popVlan" }
  /** Looks the frame up in another table, and goes on with the next action. */
  | { readonly kind: "resubmit"; readonly table: number }
  /** Does these to a copy of the frame. */
  | { readonly kind: "clone"; readonly actions: readonly Action[] };

/** Ports that stand for something else (OpenFlow 1.3.5, 7.2.1). */
export const reservedPorts = {
  inPort: 0xffff_fff8,
  flood: 0xffff_fffb,
  all: 0xffff_fffc,
  controller: 0xffff_fffd,
  local: 0xffff_fffe,
  any: 0xffff_ffff,
} as const;

/** In 16 bits, as Open vSwitch's actions have it. */
const inPort16 = reservedPorts.inPort & 0xffff;
const ethertypeVlan = 0x8100;
const wholeFrame = 0xffff;

/**
 * Actions as they are sent, one after the other.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT` where a value is beyond its field
 */
export function encodeActions(actions: readonly Action[]): Buffer {
  return Buffer.concat(actions.map(encodeAction));
}

function encodeAction(action: Action): Buffer {
  switch (action.kind) {
    case "output":
      if (action.maxLength === undefined) return outputAction(action.port, wholeFrame);
      // NXAST_OUTPUT_TRUNC
      return vendorAction(39, numbers16(action.port & 0xffff), numbers32(action.maxLength));
    case "toController":
      return outputAction(reservedPorts.controller, action.maxLength);
    case "set": {
      const field = encodeField({ field: action.field, value: action.value });
      const length = 4 + field.length;
      const pad = padding(length);
      return Buffer.concat([numbers16(25, length + pad), field, Buffer.alloc(pad)]);
    }
    case "pushVlan":
      return Buffer.concat([numbers16(17, 8, ethertypeVlan), Buffer.alloc(2)]);
    case "popVlan":
      return Buffer.concat([numbers16(18, 8), Buffer.alloc(4)]);
    case "resubmit":
      // NXAST_RESUBMIT_TABLE, with the port that the frame came in by.
      return vendorAction(14, numbers16(inPort16), Buffer.from([action.table, 0, 0, 0]));
    case "clone":
      // NXAST_CLONE
      return vendorAction(42, Buffer.alloc(6), encodeActions(action.actions));
  }
}

function outputAction(port: number, maxLength: number): Buffer {
  return Buffer.concat([numbers16(0, 16), numbers32(port), numbers16(maxLength), Buffer.alloc(6)]);
}

/** An action of Open vSwitch's own (`struct nx_action_header`). */
function vendorAction(subtype: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 10);
  const pad = padding(length);
  const header = [numbers16(0xffff, length + pad), numbers32(experimenters.openVswitch), numbers16(subtype)];
  return Buffer.concat([...header, ...parts, Buffer.alloc(pad)]);
}
