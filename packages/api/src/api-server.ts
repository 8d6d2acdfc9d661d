import { createHash, timingSafeEqual } from "node:crypto";
import type { AddressInfo } from "node:net";
import { serve, type ServerType } from "@hono/node-server";
import { createOperationContext, isVdcError, type Logger, silentLogger, toVdcError, VdcError } from "@vdc-os/core";
import { createInstance } from "@vdc-os/core/cloud/v1";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import type { ApiService } from "./api-service.ts";
import { httpStatusOf } from "./http-status.ts";

/** Options of {@link startApiServer}. */
export interface ApiServerOptions {
  readonly service: ApiService;
  /** The bearer token that every request must carry: at least 16 characters. */
  readonly token: string;
  /** The address to listen on. Defaults to `127.0.0.1`. */
  readonly host?: string;
  /** Defaults to 0: any free port. */
  readonly port?: number;
  /** Defaults to silence. */
  readonly logger?: Logger;
}

/** A server that answers. */
export interface ApiServer {
  /** Where it listens: `http://127.0.0.1:40123`. */
  readonly url: string;
  /** Ends it: requests in flight are finished, at most 5 seconds long. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const page = {
  limit: z.coerce.number().int().min(1).max(1000).exactOptional(),
  pageToken: z.string().max(1024).exactOptional(),
};
const listQuery = z.object(page);
const imagesQuery = z.object({ ...page, name: z.string().exactOptional() });
const instancesQuery = z.object({
  ...page,
  ownerDatacenter: z.string().exactOptional(),
  changedSince: z.coerce.number().nonnegative().exactOptional(),
  token: z.string().exactOptional(),
});
const consoleQuery = z.object({ offset: z.coerce.number().int().nonnegative().default(0) });

/** Serves a datacenter's HTTP API. Every request needs the token; bodies are at most 1 MiB. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  if (options.token.length < 16) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      "the API's token must have at least 16 characters: take one from crypto.randomUUID()",
    );
  }
  const app = buildApp(options);
  const server = await new Promise<ServerType>((resolve, reject) => {
    const started = serve({ fetch: app.fetch, hostname: options.host ?? "127.0.0.1", port: options.port ?? 0 }, () =>
      resolve(started),
    );
    started.once("error", reject);
  });
  const address = server.address() as AddressInfo;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closing ??= new Promise((resolve) => {
      const hard = setTimeout(() => "closeAllConnections" in server && server.closeAllConnections(), 5_000);
      server.close(() => {
        clearTimeout(hard);
        resolve();
      });
      if ("closeIdleConnections" in server) server.closeIdleConnections();
    }));
  return { url: `http://${host}:${address.port}`, close, [Symbol.asyncDispose]: close };
}

function buildApp(options: ApiServerOptions): Hono {
  const { service } = options;
  const logger = options.logger ?? silentLogger;
  const app = new Hono();
  const contextOf = (c: Context) => createOperationContext({ signal: c.req.raw.signal }, { logger });

  app.use(async (c, next) => {
    if (!sameToken(c.req.header("authorization"), options.token)) {
      throw new VdcError(
        "UNAUTHENTICATED",
        "this API needs the header 'Authorization: Bearer <token>' with the datacenter's token",
      );
    }
    await next();
  });
  app.use(
    bodyLimit({
      maxSize: 1024 * 1024,
      onError: () => {
        throw new VdcError("RESOURCE_EXHAUSTED", "the request's body is larger than 1 MiB", { retryable: false });
      },
    }),
  );
  app.onError((error, c) => {
    const failure = toVdcError(error);
    if (!isVdcError(error)) logger.error("a request failed", { path: c.req.path, reason: failure.reason });
    // What was not thrown as a VdcError may say more than a stranger should read.
    const shown = isVdcError(error)
      ? failure
      : new VdcError("INTERNAL", "the request failed inside the datacenter: see its log");
    return c.json({ error: shown.toJSON() }, httpStatusOf(shown.code) as ContentfulStatusCode);
  });
  app.notFound((c) => {
    const error = new VdcError("NOT_FOUND", `there is no '${c.req.method} ${c.req.path}' in this API`);
    return c.json({ error: error.toJSON() }, 404);
  });

  app.get("/v1/about", async (c) => c.json(await service.about(contextOf(c))));
  app.get("/v1/sizes", async (c) => c.json(await service.listSizes(read(listQuery, c.req.query()), contextOf(c))));
  app.get("/v1/images", async (c) => c.json(await service.listImages(read(imagesQuery, c.req.query()), contextOf(c))));
  app.get("/v1/networks", async (c) =>
    c.json(await service.listNetworks(read(listQuery, c.req.query()), contextOf(c))),
  );
  app.get("/v1/instances", async (c) =>
    c.json(await service.listInstances(read(instancesQuery, c.req.query()), contextOf(c))),
  );
  app.post("/v1/instances", async (c) => {
    const input = read(createInstance, await jsonBody(c));
    return c.json(await service.createInstance(input, contextOf(c)), 202);
  });
  app.get("/v1/instances/:id", async (c) => c.json(await service.getInstance(c.req.param("id"), contextOf(c))));
  app.delete("/v1/instances/:id", async (c) =>
    c.json(await service.removeInstance(c.req.param("id"), contextOf(c)), 202),
  );
  app.get("/v1/instances/:id/console", async (c) => {
    const { offset } = read(consoleQuery, c.req.query());
    return c.json(await service.readConsole(c.req.param("id"), offset, contextOf(c)));
  });
  app.get("/v1/operations/:id", async (c) => c.json(await service.getOperation(c.req.param("id"), contextOf(c))));
  return app;
}

async function jsonBody(c: Context): Promise<unknown> {
  try {
    return await c.req.json();
  } catch (error) {
    if (isVdcError(error)) throw error;
    throw new VdcError("INVALID_ARGUMENT", "the request's body is not JSON");
  }
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (!result.success)
    throw new VdcError("INVALID_ARGUMENT", `the request is not as it must be: ${z.prettifyError(result.error)}`);
  return result.data;
}

/** Compares digests, so that the time taken tells nothing of the token. */
function sameToken(header: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(header ?? ""), digest(`Bearer ${token}`));
}
