import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VdcError } from "../../src/error/vdc-error.ts";
import { connectDataPlane } from "../../src/remote/connect-data-plane.ts";
import { dataPlaneEnvironment, serveDataPlane } from "../../src/remote/serve-data-plane.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "vdc-dp-"));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

describe("serveDataPlane", () => {
  it("answers methods on a socket of mode 0600, with errors that keep their code", async () => {
    const controlSocket = join(directory, "c.sock");
    await using plane = await serveDataPlane({
      controlSocket,
      handleSignals: false,
      methods: {
        add: (params) => {
          const { a, b } = params as { a: number; b: number };
          return a + b;
        },
        list: () => [1, 2],
        nothing: () => undefined,
        fail: () => {
          throw new VdcError("OUT_OF_RANGE", "too far");
        },
      },
    });
    expect((await stat(plane.controlSocket)).mode & 0o777).toBe(0o600);
    await using client = await connectDataPlane(controlSocket);
    await client.ping({ timeoutMs: 5000 });
    expect(await client.request("add", { a: 1, b: 2 })).toBe(3);
    expect(await client.request("list", null)).toEqual([1, 2]);
    expect(await client.request("nothing", [1])).toBeNull();
    await expect(client.request("fail", null)).rejects.toMatchObject({ code: "OUT_OF_RANGE", message: "too far" });
    await expect(client.request("absent", null)).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });

  it("refuses a second instance, and replaces a socket that nobody answers", async () => {
    const controlSocket = join(directory, "c.sock");
    const stopped: string[] = [];
    const first = await serveDataPlane({
      controlSocket,
      handleSignals: false,
      methods: {},
      stop: () => void stopped.push("first"),
    });
    await expect(serveDataPlane({ controlSocket, handleSignals: false, methods: {} })).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
    });
    await first.close();
    expect(stopped).toEqual(["first"]);
    await expect(connectDataPlane(controlSocket)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const second = await serveDataPlane({ controlSocket, handleSignals: false, methods: {} });
    await second.close();
  });

  it("says clearly what is wrong with its surroundings", async () => {
    expect(() => dataPlaneEnvironment({})).toThrow(/VDC_PROCESS_ID.*host runtime/);
    await expect(
      serveDataPlane({ controlSocket: join(directory, "x".repeat(120)), methods: {} }),
    ).rejects.toMatchObject({
      reason: "VDC_SOCKET_PATH_TOO_LONG",
    });
  });
});
