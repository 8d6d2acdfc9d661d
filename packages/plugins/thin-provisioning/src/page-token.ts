import { VdcError } from "@vdc-os/core";

/** A page token: the last name of the page before. It stays good whatever changes, since the order is that of names. */
export function encodePageToken(poolId: string, lastName: string): string {
  return Buffer.from(JSON.stringify([poolId, lastName])).toString("base64url");
}

/** The name after which a page begins. Throws `ABORTED` for what is no token of this pool. */
export function decodePageToken(poolId: string, token: string): string {
  try {
    const [pool, lastName] = JSON.parse(Buffer.from(token, "base64url").toString()) as readonly unknown[];
    if (pool === poolId && typeof lastName === "string") return lastName;
  } catch {
    // Not a token: answered below.
  }
  throw new VdcError("ABORTED", "the page token is not one of this pool: begin again without one", {
    reason: "VDC_PAGE_TOKEN",
    retryable: false,
  });
}
