import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import type { PackedPackage } from "../packages/packed-packages.ts";

/** Serves packed packages to npm as a registry does, on this machine alone. It has their present version and nothing else. */
export class LocalRegistry implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(packages: readonly PackedPackage[]): Promise<LocalRegistry> {
    const documents = new Map(packages.map(({ name, tarball }) => [`/${name}`, describe(tarball)]));
    const tarballs = new Map(packages.map(({ tarball }) => [`/-/${basename(tarball)}`, tarball]));
    const server = createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? "");
      const tarball = tarballs.get(path);
      const document = documents.get(path);
      if (tarball !== undefined) response.end(readFileSync(tarball));
      else if (document === undefined) response.writeHead(404).end("{}");
      else {
        const { name, version, ...rest } = document.manifest;
        const dist = { integrity: document.integrity, tarball: `http://${request.headers.host}/-/${document.file}` };
        const versions = { [version]: { name, version, ...rest, dist } };
        // Another run may have the same port, and other packages.
        response.setHeader("cache-control", "no-store");
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions }));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new LocalRegistry(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

interface PackageDocument {
  readonly file: string;
  readonly integrity: string;
  readonly manifest: { readonly name: string; readonly version: string };
}

function describe(tarball: string): PackageDocument {
  const integrity = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  const manifest = JSON.parse(execFileSync("tar", ["-xzOf", tarball, "package/package.json"], { encoding: "utf8" }));
  return { file: basename(tarball), integrity, manifest };
}
