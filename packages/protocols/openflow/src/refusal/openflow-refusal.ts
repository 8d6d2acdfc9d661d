import { mustHave } from "../wire/malformed.ts";
import { experimenterErrorName, standardErrorName } from "./error-names.ts";

/** What a switch said when it refused a message (OpenFlow 1.3.5, 7.4.4). */
export interface OpenFlowRefusal {
  readonly type: number;
  /** The code; of an experimenter's error its type (`exp_type`). */
  readonly code: number;
  /** As the specification and Open vSwitch name it: `OFPBRC_EPERM`. `error <type>, code <code>` where neither has a name. */
  readonly name: string;
  /** Whose error it is, where it is not the specification's: `0x2320` for Open vSwitch's. */
  readonly experimenter?: number;
}

const experimenterType = 0xffff;

/**
 * The refusal that an error message tells.
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function parseRefusal(body: Buffer): OpenFlowRefusal {
  mustHave(body, 4, "an error");
  const type = body.readUInt16BE(0);
  const code = body.readUInt16BE(2);
  const unnamed = `error ${type}, code ${code}`;
  if (type !== experimenterType || body.length < 8) {
    return { type, code, name: standardErrorName(type, code) ?? unnamed };
  }
  const experimenter = body.readUInt32BE(4);
  const name = experimenterErrorName(experimenter, code);
  return { type, code, experimenter, name: name ?? `${unnamed} of experimenter 0x${experimenter.toString(16)}` };
}
