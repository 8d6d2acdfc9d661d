import { OpenFlowError } from "../openflow-error.ts";

/** The failure of whatever the peer sent that can't be read. */
export function malformed(what: string): OpenFlowError {
  return new OpenFlowError("OPENFLOW_PROTOCOL", `the switch sent what is no OpenFlow: ${what}`);
}

/**
 * Makes sure that something is as long as what will be read of it.
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function mustHave(body: Buffer, length: number, what: string): void {
  if (body.length < length) throw malformed(`${what} is cut off`);
}
