import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NbdClientTls } from "./client/client-tls.ts";
import type { NbdServerTls } from "./server/server-tls.ts";

/**
 * A server's TLS from a folder as QEMU, libnbd and nbdkit lay it out: `server-cert.pem`, `server-key.pem`, and where clients must be
 * known `ca-cert.pem`. A file that cannot be read is the file system's error.
 */
export function readServerTls(folder: string): NbdServerTls {
  const authority = join(folder, "ca-cert.pem");
  return {
    certificate: readFileSync(join(folder, "server-cert.pem")),
    key: readFileSync(join(folder, "server-key.pem")),
    ...(existsSync(authority) ? { clientAuthority: readFileSync(authority) } : {}),
  };
}

/** A client's TLS from a folder of the same layout: `ca-cert.pem`, and where it has one `client-cert.pem` with `client-key.pem`. */
export function readClientTls(folder: string): NbdClientTls {
  const certificate = join(folder, "client-cert.pem");
  return {
    authority: readFileSync(join(folder, "ca-cert.pem")),
    ...(existsSync(certificate)
      ? { certificate: readFileSync(certificate), key: readFileSync(join(folder, "client-key.pem")) }
      : {}),
  };
}
