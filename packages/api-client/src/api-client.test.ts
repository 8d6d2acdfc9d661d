import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isVdcError } from "@vdc-os/core";
import { afterEach, describe, expect, it } from "vitest";
import { type ApiClientOptions, createApiClient } from "./api-client.ts";

const token = "secret-token-of-the-test";
const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }
});

/** A client of a server that answers as it is told. */
async function clientOf(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  options: Partial<ApiClientOptions> = {},
) {
  const server = createServer(answer);
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return createApiClient({ baseUrl, token, ...options });
}

function sends(status: number, body: string): (request: IncomingMessage, response: ServerResponse) => void {
  return (_, response) => response.writeHead(status, { "content-type": "application/json" }).end(body);
}

const about = { name: "far", uid: "u", version: "1", apiVersions: ["v1"] };

describe("the API client", () => {
  it("sends the token, and checks the answer", async () => {
    let seen: string | undefined;
    const client = await clientOf((request, response) => {
      seen = request.headers.authorization;
      sends(200, JSON.stringify(about))(request, response);
    });
    expect(await client.about()).toEqual(about);
    expect(seen).toBe(`Bearer ${token}`);
  });

  it("says INTERNAL for an answer of another shape, and names where", async () => {
    for (const body of ["", "{", "null", "[]", '{"name":1}']) {
      const client = await clientOf(sends(200, body));
      await expect(client.about()).rejects.toMatchObject({
        code: "INTERNAL",
        message: expect.stringContaining("/v1/about"),
      });
    }
  });

  it("makes an error of any answer that is none of the API's", async () => {
    const expected = {
      401: "UNAUTHENTICATED",
      403: "PERMISSION_DENIED",
      404: "NOT_FOUND",
      418: "UNKNOWN",
      502: "UNAVAILABLE",
    };
    for (const [status, code] of Object.entries(expected)) {
      for (const body of ["<html>oops</html>", '{"error":"text"}', '{"error":{"code":7}}']) {
        const client = await clientOf(sends(Number(status), body));
        await expect(client.about()).rejects.toMatchObject({ code });
      }
    }
  });

  it("does not invent a code that it does not know", async () => {
    const client = await clientOf(
      sends(500, '{"error":{"code":"SURPRISE","message":"m","reason":"R","retryable":false}}'),
    );
    await expect(client.about()).rejects.toMatchObject({ code: "UNKNOWN", message: "m" });
  });

  it("reads no more than it is allowed to", async () => {
    const client = await clientOf(sends(200, JSON.stringify({ ...about, name: "x".repeat(10_000) })), {
      maxResponseBytes: 5_000,
    });
    await expect(client.about()).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", retryable: false });
  });

  it("follows no redirect: the token goes to one place alone", async () => {
    let elsewhere = 0;
    const target = createServer((_, response) => {
      elsewhere += 1;
      response.end("{}");
    });
    servers.push(target);
    target.listen(0, "127.0.0.1");
    await once(target, "listening");
    const location = `http://127.0.0.1:${(target.address() as AddressInfo).port}/v1/about`;
    const client = await clientOf((_, response) => response.writeHead(302, { location }).end());
    await expect(client.about()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(elsewhere).toBe(0);
  });

  it("says UNAVAILABLE when the connection is cut, DEADLINE_EXCEEDED when no answer comes, CANCELLED when it is told to stop", async () => {
    const cut = await clientOf((request) => request.socket.destroy());
    await expect(cut.about()).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
    const half = await clientOf((_, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
    });
    await expect(half.about()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const silent = await clientOf(() => undefined, { timeoutMs: 30 });
    await expect(silent.about()).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    const stopped = silent.about({ signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("never tries twice by itself", async () => {
    let requests = 0;
    const client = await clientOf((request, response) => {
      requests += 1;
      sends(503, "{}")(request, response);
    });
    await expect(client.about()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(requests).toBe(1);
  });

  it("has no token in any error", async () => {
    const clients = [
      await clientOf(sends(401, "{}")),
      await clientOf(sends(200, "{}")),
      await clientOf((request) => request.socket.destroy()),
    ];
    for (const client of clients) {
      const error: unknown = await client.about().catch((reason: unknown) => reason);
      expect(isVdcError(error)).toBe(true);
      expect(JSON.stringify(error)).not.toContain(token);
      expect(String((error as Error).stack)).not.toContain(token);
    }
  });

  it("tells an absent instance from a failure", async () => {
    const absent = await clientOf(sends(404, "{}"));
    expect(await absent.getInstance("i")).toBeUndefined();
    const failing = await clientOf(sends(503, "{}"));
    await expect(failing.getInstance("i")).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("asks for nobody by an id that would lead elsewhere in an address", async () => {
    const seen: string[] = [];
    const client = await clientOf((request, response) => {
      seen.push(request.url ?? "");
      sends(404, "{}")(request, response);
    });
    for (const id of [".", ".."]) {
      await expect(client.getInstance(id)).resolves.toBeUndefined();
      await expect(client.removeInstance(id)).resolves.toEqual({ operationId: id, state: "succeeded" });
      await expect(client.getOperation(id)).rejects.toMatchObject({ code: "NOT_FOUND" });
      await expect(client.readConsole(id, 0)).rejects.toMatchObject({ code: "NOT_FOUND" });
    }
    expect(seen).toEqual([]);
    await expect(client.getInstance("../../x")).resolves.toBeUndefined();
    expect(seen).toEqual(["/v1/instances/..%2F..%2Fx"]);
  });

  it("refuses an address that is none", () => {
    expect(() => createApiClient({ baseUrl: "ftp://example.test", token })).toThrowError(/http/);
  });
});
