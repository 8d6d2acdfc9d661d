import { OpenFlowError } from "../openflow-error.ts";
import { longestMessage } from "../wire/message.ts";
import { numbers16, numbers32 } from "../wire/octets.ts";
import { type Action, encodeActions } from "./action.ts";
import type { Match } from "./match.ts";

/** A flow. Flows of equal table, priority and match are the same flow. No actions and no next table: the frame is dropped. */
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

/**
 * The instructions of a flow, in the order in which they are done (OpenFlow 1.3.5, 7.2.4): its meter, its actions, the next table.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT` where no message has room for the actions, or a value is beyond its field
 */
export function encodeInstructions({ meter, actions = [], next }: Flow): Buffer {
  const parts: Buffer[] = [];
  if (meter !== undefined) parts.push(numbers16(6, 8), numbers32(meter));
  if (actions.length > 0) {
    const body = encodeActions(actions);
    const length = 8 + body.length;
    if (length > longestMessage) {
      const text = `the actions of a flow have ${length} octets, and may have ${longestMessage}`;
      throw new OpenFlowError("OPENFLOW_INVALID_ARGUMENT", text);
    }
    parts.push(numbers16(4, length), Buffer.alloc(4), body);
  }
  if (next !== undefined) parts.push(numbers16(1, 8), Buffer.from([next, 0, 0, 0]));
  return Buffer.concat(parts);
}
