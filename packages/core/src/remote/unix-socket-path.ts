import { VdcError } from "../error/vdc-error.ts";

/** The longest path that a Unix socket's address holds on every supported system: `sun_path` of 108 on Linux and 104 on macOS, with its final zero. */
export const maxUnixSocketPathBytes: number = process.platform === "linux" ? 107 : 103;

/** Returns a Unix socket's path as it came. Throws `INVALID_ARGUMENT` when it is too long, before the system cuts it silently. */
export function checkUnixSocketPath(path: string): string {
  const length = Buffer.byteLength(path);
  if (length > maxUnixSocketPathBytes) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      `the socket path '${path}' has ${length} bytes, and a Unix socket takes at most ${maxUnixSocketPathBytes}: use a shorter directory`,
      { reason: "VDC_SOCKET_PATH_TOO_LONG", details: { bytes: length, limit: maxUnixSocketPathBytes } },
    );
  }
  return path;
}
