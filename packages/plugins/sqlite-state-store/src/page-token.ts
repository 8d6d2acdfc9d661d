import { VdcError } from "@vdc-os/core";

/** Where a list goes on: as of which revision, under which prefix, after which key. */
export interface PageToken {
  readonly revision: number;
  readonly prefix: string;
  readonly after: string;
}

/** The token as the opaque text that callers get. */
export function encodePageToken(token: PageToken): string {
  return Buffer.from(JSON.stringify([token.revision, token.prefix, token.after])).toString("base64url");
}

/** Reads a token. One that this store did not make for this prefix fails with `ABORTED`: begin the list again. */
export function decodePageToken(text: string, prefix: string): PageToken {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    throw staleToken("is not one of this store");
  }
  if (!Array.isArray(parts) || parts.length !== 3) throw staleToken("is not one of this store");
  const [revision, tokenPrefix, after] = parts as readonly unknown[];
  if (!Number.isSafeInteger(revision) || (revision as number) < 0 || typeof after !== "string") {
    throw staleToken("is not one of this store");
  }
  if (tokenPrefix !== prefix) throw staleToken("belongs to a list of another prefix");
  return { revision: revision as number, prefix, after };
}

/** The error of a page token that can't be gone on with. */
export function staleToken(why: string): VdcError {
  return new VdcError("ABORTED", `the page token ${why}: begin the list again`, { reason: "VDC_STATE_PAGE_TOKEN" });
}
