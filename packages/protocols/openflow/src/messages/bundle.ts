import { malformed, mustHave } from "../wire/malformed.ts";
import { encodeMessage, experimenters, messageType } from "../wire/message.ts";
import { numbers16, numbers32 } from "../wire/octets.ts";

// OpenFlow 1.4, 7.3.9, which the extension EXT-230 brings to 1.3 as experimenter messages.
const controlMessage = 2300;
const addMessage = 2301;
/** `OFPBF_ATOMIC | OFPBF_ORDERED`: all or nothing, in the order in which they were added. */
const atomicAndOrdered = 0b11;

const requests = { open: 0, commit: 4, discard: 6 } as const;
const replies = { open: 1, commit: 5, discard: 7 } as const;

/** What is done with a bundle as a whole. */
export type BundleStep = keyof typeof requests;

/** Opens a bundle, has all of it done, or drops it. */
export function bundleControl(bundle: number, step: BundleStep): Buffer {
  return encodeMessage(
    messageType.experimenter,
    numbers32(experimenters.onf, controlMessage, bundle),
    numbers16(requests[step], atomicAndOrdered),
  );
}

/** Adds a message to a bundle: with its header, and with the transaction id that this message gets too. */
export function bundleAdd(bundle: number, message: Buffer): Buffer {
  return encodeMessage(
    messageType.experimenter,
    numbers32(experimenters.onf, addMessage, bundle),
    numbers16(0, atomicAndOrdered),
    message,
  );
}

/**
 * Makes sure that an answer is the one to a step.
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function checkBundleReply(body: Buffer, bundle: number, step: BundleStep): void {
  mustHave(body, 16, "an answer about a bundle");
  const isOurs =
    body.readUInt32BE(0) === experimenters.onf &&
    body.readUInt32BE(4) === controlMessage &&
    body.readUInt32BE(8) === bundle &&
    body.readUInt16BE(12) === replies[step];
  if (!isOurs) throw malformed(`an answer about something else than bundle ${bundle}`);
}
