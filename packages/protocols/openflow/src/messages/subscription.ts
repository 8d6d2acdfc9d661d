import { encodeMessage, messageType } from "../wire/message.ts";
import { numbers16, numbers32 } from "../wire/octets.ts";

/** What a switch shall tell without being asked. */
export interface Subscription {
  /** Frames that flows send to the controller. */
  readonly packets: boolean;
  readonly portStatus: boolean;
}

const wholeFrames = 0xffff;
const everyPacketReason = 0b111;
const everyPortReason = 0b111;

/**
 * Asks for what is told without being asked, and for nothing else of it. A connection to a management socket of Open vSwitch is told nothing before it has set a
 * length for frames (its design page, "Asynchronous Messages"; OpenFlow 1.3.5, 7.3.2); what of that it wants is another question (7.3.10).
 */
export function subscribe({ packets, portStatus }: Subscription): readonly Buffer[] {
  // Frames come whole: OFPCML_NO_BUFFER.
  const setConfig = encodeMessage(messageType.setConfig, numbers16(0, wholeFrames));
  const packetMask = packets ? everyPacketReason : 0;
  const portMask = portStatus ? everyPortReason : 0;
  // A mask for whoever may change the switch, and one for whoever no longer may; the last two are for flows that were removed.
  const setAsync = encodeMessage(messageType.setAsync, numbers32(packetMask, 0, portMask, portMask, 0, 0));
  return [setConfig, setAsync];
}
