import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type PackedPackage, packedPackages } from "./packed-packages.ts";
import { tarballFiles } from "./tarball-files.ts";

/**
 * An npm registry on this machine that has the packed packages and nothing else, as the public one will have them: installers are told that the
 * scope `@vdc-os` is there, and fetch everything else from where they always do.
 */
export class LoopbackRegistry {
  readonly url: string;
  readonly packages: readonly PackedPackage[];
  readonly #server: Server;

  private constructor(server: Server, packages: readonly PackedPackage[]) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    this.packages = packages;
  }

  static async serve(): Promise<LoopbackRegistry> {
    const packages = await packedPackages();
    const served = new Map<string, { readonly bytes: Buffer; readonly manifest: Readonly<Record<string, unknown>> }>();
    for (const { name, tarball } of packages) {
      const manifest = JSON.parse(String((await tarballFiles(tarball)).get("package.json")));
      served.set(name, { bytes: await readFile(tarball), manifest });
    }
    const server = createServer((request, response) => answer(served, request, response));
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", resolve);
    await promise;
    return new LoopbackRegistry(server, packages);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }
}

function answer(
  served: ReadonlyMap<string, { readonly bytes: Buffer; readonly manifest: Readonly<Record<string, unknown>> }>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
  const path = decodeURIComponent(pathname).slice(1);
  const [name = "", file] = path.split("/-/");
  const found = served.get(name);
  // Another run may have the same version with other content.
  response.setHeader("cache-control", "no-store");
  if (found === undefined) {
    response.writeHead(404, { "content-type": "application/json" }).end(`{"error":"there is no '${name}'"}`);
  } else if (file !== undefined) {
    response.writeHead(200, { "content-type": "application/octet-stream" }).end(found.bytes);
  } else {
    const { manifest, bytes } = found;
    const version = String(manifest.version);
    const digest = (algorithm: string, encoding: "base64" | "hex"): string =>
      createHash(algorithm).update(bytes).digest(encoding);
    const dist = {
      tarball: `http://${request.headers.host}/${name}/-/${name.split("/")[1]}-${version}.tgz`,
      integrity: `sha512-${digest("sha512", "base64")}`,
      shasum: digest("sha1", "hex"),
    };
    const packument = {
      name,
      "dist-tags": { latest: version },
      versions: { [version]: { ...manifest, dist } },
      // Some installers leave out what was published lately.
      time: { modified: published, created: published, [version]: published },
    };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(packument));
  }
}

const published = "2026-01-01T00:00:00.000Z";
