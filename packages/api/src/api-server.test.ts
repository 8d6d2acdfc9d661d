import { createApiClient } from "@vdc-os/api-client";
import { errorCodes, type SerializedError, VdcError } from "@vdc-os/core";
import type { CreateInstance } from "@vdc-os/core/cloud/v1";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { fakeService, oneInstance } from "../test/fake-service.ts";
import { type ApiServer, startApiServer } from "./api-server.ts";
import type { ApiService } from "./api-service.ts";
import { httpStatusOf } from "./http-status.ts";

const token = "a-token-that-is-long-enough";

const request: CreateInstance = {
  name: "web",
  image: "debian",
  size: "small",
  networks: [],
  stamp: { owner: { datacenter: "dc", tenant: "t", kind: "k", name: "n", uid: "u" }, token: "t-1" },
};

const servers: ApiServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(change: Partial<ApiService> = {}): Promise<string> {
  const server = await startApiServer({ service: fakeService(change), token });
  servers.push(server);
  return server.url;
}

interface Answer {
  readonly status: number;
  readonly error: SerializedError | undefined;
  readonly text: string;
}

async function send(
  url: string,
  init: RequestInit = {},
  bearer: string | undefined = `Bearer ${token}`,
): Promise<Answer> {
  const headers = new Headers(init.headers);
  if (bearer !== undefined) headers.set("authorization", bearer);
  const response = await fetch(url, { ...init, headers });
  const text = await response.text();
  return { status: response.status, text, error: (JSON.parse(text) as { error?: SerializedError }).error };
}

describe("the API server", () => {
  it("lets nobody in without the token, whatever is asked for", async () => {
    let reached = 0;
    const url = await serve({
      about: async () => {
        reached += 1;
        throw new Error("reached");
      },
    });
    const wrong = [
      "Bearer wrong",
      `Bearer ${token}x`,
      `Bearer ${token.slice(0, -1)}`,
      `bearer ${token}`,
      token,
      "Bearer ",
      "",
    ];
    for (const bearer of wrong) {
      for (const path of ["/v1/about", "/v1/instances", "/nowhere"]) {
        const { status, error } = await send(`${url}${path}`, {}, bearer);
        expect([status, error?.code]).toEqual([401, "UNAUTHENTICATED"]);
      }
    }
    const bare = await fetch(`${url}/v1/about`);
    expect(bare.status).toBe(401);
    expect(await bare.text()).not.toContain(token);
    expect(reached).toBe(0);
  });

  it("needs a token that is long enough", async () => {
    await expect(startApiServer({ service: fakeService(), token: "short" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });

  it("gives each error its status, its code and what programs need of it", async () => {
    let thrown: VdcError = new VdcError("INTERNAL", "");
    const url = await serve({
      getOperation: async () => {
        throw thrown;
      },
    });
    const client = createApiClient({ baseUrl: url, token });
    for (const code of errorCodes) {
      thrown = new VdcError(code, `it is ${code}`, {
        reason: "VDC_TEST",
        details: { limit: 3 },
        blockers: [{ kind: "Volume", name: "disk" }],
      });
      const { status, error } = await send(`${url}/v1/operations/o`);
      expect(status).toBe(httpStatusOf(code));
      expect(error).toMatchObject({ code, reason: "VDC_TEST", details: { limit: 3 } });
      await expect(client.getOperation("o")).rejects.toMatchObject({
        code,
        reason: "VDC_TEST",
        message: `it is ${code}`,
        blockers: [{ kind: "Volume", name: "disk" }],
        retryable: thrown.retryable,
      });
    }
  });

  it("does not show strangers what went wrong inside", async () => {
    const url = await serve({
      about: async () => {
        throw new Error("password is hunter2 in /etc/inside");
      },
    });
    const { status, error, text } = await send(`${url}/v1/about`);
    expect([status, error?.code]).toEqual([500, "INTERNAL"]);
    expect(text).not.toContain("hunter2");
    expect(text).not.toContain("/etc/inside");
  });

  it("refuses bodies that are too large, also when they do not say how large they are", async () => {
    let created = 0;
    const url = await serve({
      createInstance: async () => {
        created += 1;
        return oneInstance;
      },
    });
    const large = JSON.stringify({ ...request, userData: "x".repeat(1024 * 1024) });
    const stated = await send(`${url}/v1/instances`, { method: "POST", body: large });
    expect([stated.status, stated.error?.code]).toEqual([429, "RESOURCE_EXHAUSTED"]);
    const stream = new Blob([large]).stream();
    const init = { method: "POST", body: stream, duplex: "half" } as RequestInit;
    const chunked = await send(`${url}/v1/instances`, init);
    expect(chunked.status).toBeGreaterThanOrEqual(400);
    expect(created).toBe(0);
  });

  it("hands well-formed requests on, whole, and nothing else", async () => {
    const seen: unknown[] = [];
    const url = await serve({
      createInstance: async (input) => {
        seen.push(input);
        return oneInstance;
      },
      listInstances: async (filter) => {
        seen.push(filter);
        return { items: [] };
      },
    });
    const body = JSON.stringify({ ...request, unknown: "field", userData: "hello" });
    expect((await send(`${url}/v1/instances`, { method: "POST", body })).status).toBe(202);
    await send(`${url}/v1/instances?limit=5&ownerDatacenter=dc&changedSince=7&token=t&other=1`);
    expect(seen).toEqual([
      { ...request, userData: "hello" },
      { limit: 5, ownerDatacenter: "dc", changedSince: 7, token: "t" },
    ]);
    for (const query of ["limit=0", "limit=1001", "limit=x", "changedSince=-1", `pageToken=${"x".repeat(1025)}`]) {
      const { status, error } = await send(`${url}/v1/instances?${query}`);
      expect([query, status, error?.code]).toEqual([query, 400, "INVALID_ARGUMENT"]);
    }
  });

  it("answers whatever body it is sent with a refusal, and stays up", async () => {
    let created = 0;
    const url = await serve({
      createInstance: async () => {
        created += 1;
        return oneInstance;
      },
    });
    const bodies = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.json(),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
      fc.constantFrom("", "null", "[]", "{", '{"__proto__":{"name":"web"}}', "[".repeat(50_000)),
      fc
        .tuple(fc.constantFrom(...Object.keys(request)), fc.jsonValue())
        .filter(([key, value]) => key !== "networks" || !Array.isArray(value) || value.length > 0)
        .map(([key, value]) => JSON.stringify({ ...request, [key]: { wrong: value } })),
    );
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const { status, error } = await send(`${url}/v1/instances`, { method: "POST", body });
        expect([status, error?.code]).toEqual([400, "INVALID_ARGUMENT"]);
      }),
      { seed: 5, numRuns: process.env.VDC_DEEP ? 2_000 : 150 },
    );
    expect(created).toBe(0);
    expect((await send(`${url}/v1/about`)).status).toBe(200);
  });

  it("knows no other path or method, and takes ids as they are", async () => {
    const asked: string[] = [];
    const url = await serve({
      getInstance: async (instanceId) => {
        asked.push(instanceId);
        return oneInstance;
      },
    });
    for (const [method, path] of [
      ["GET", "/"],
      ["PUT", "/v1/instances"],
      ["GET", "/v2/about"],
      ["DELETE", "/v1/about"],
    ]) {
      expect((await send(`${url}${path}`, { method: method ?? "" })).status).toBe(404);
    }
    const client = createApiClient({ baseUrl: url, token });
    for (const id of ["../about", "a/b", "a?b=c", "ä %2e", "i-1"]) await client.getInstance(id);
    expect(asked).toEqual(["../about", "a/b", "a?b=c", "ä %2e", "i-1"]);
  });

  it("tells a service when its caller has gone", async () => {
    const gone = Promise.withResolvers<string>();
    const begun = Promise.withResolvers<void>();
    const url = await serve({
      about: (context) => {
        context.signal.addEventListener("abort", () => gone.resolve("gone"));
        begun.resolve();
        return gone.promise.then(() => Promise.reject(new VdcError("CANCELLED", "gone")));
      },
    });
    const controller = new AbortController();
    const call = createApiClient({ baseUrl: url, token }).about({ signal: controller.signal });
    await begun.promise;
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await gone.promise).toBe("gone");
  });

  it("finishes what is under way when it is closed", async () => {
    const release = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const server = await startApiServer({
      token,
      service: fakeService({
        readConsole: async (_, offset) => {
          begun.resolve();
          await release.promise;
          return { offset, text: "late" };
        },
      }),
    });
    const call = createApiClient({ baseUrl: server.url, token }).readConsole("i-1", 3);
    await begun.promise;
    const closing = server.close();
    release.resolve();
    expect(await call).toEqual({ offset: 3, text: "late" });
    await closing;
    await expect(fetch(server.url)).rejects.toThrow();
  });
});
