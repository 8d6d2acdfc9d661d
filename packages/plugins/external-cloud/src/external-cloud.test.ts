import { startApiServer } from "@vdc-os/api";
import { createApiClient } from "@vdc-os/api-client";
import { createOperationContext } from "@vdc-os/core";
import { type CloudConnector, cloudConnector } from "@vdc-os/core/cloud/v1";
import { use } from "@vdc-os/core/kernel";
import { secretStore } from "@vdc-os/core/secret/v1";
import { createTestKernel, fake } from "@vdc-os/core/testing";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import { type CloudConnectorInstance, cloudSuite } from "@vdc-os/ready/cloud";
import { describeSuite } from "@vdc-os/ready/vitest";
import { afterEach, describe, expect, it } from "vitest";
import { cloudService } from "../test/cloud-service.ts";
import { startCuttingProxy } from "@vdc-os/testing";
import { checkAddress, ExternalCloudConnector } from "./external-cloud-connector.ts";
import plugin from "./plugin.ts";

const token = "a-token-that-is-long-enough";

const closers: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A simulated cloud behind a real HTTP server. */
async function serve(): Promise<{ readonly world: SimulatedWorld; readonly url: string }> {
  const world = new SimulatedWorld({ cloud: { createMs: 15, removeMs: 15 } });
  const server = await startApiServer({ service: cloudService(world.cloud()), token });
  closers.push(
    () => server.close(),
    () => world.dispose(),
  );
  return { world, url: server.url };
}

function connectorTo(baseUrl: string, bearer = token): CloudConnector {
  return new ExternalCloudConnector(() => createApiClient({ baseUrl, token: bearer }));
}

async function create(): Promise<CloudConnectorInstance> {
  const { world, url } = await serve();
  const proxy = await startCuttingProxy(url);
  return {
    implementation: connectorTo(proxy.url),
    request: { image: "debian", size: "small", networks: ["default"] },
    wrongCredentials: () => connectorTo(url, "a-token-that-is-not-known"),
    loseNextAnswer: () => proxy.cutNextAnswer(),
    reopen: () => connectorTo(url),
    makeForeign: () => world.cloudAccount().addForeign("foreign").instanceId,
    dispose: () => proxy.close(),
  };
}

describeSuite(cloudSuite, { create });

describe("the external cloud", () => {
  it("takes its token from the secret store, and shows it nowhere", async () => {
    const { url } = await serve();
    const kernel = await createTestKernel({
      plugins: [use(plugin, { config: { name: "far", baseUrl: url, token: { name: "far-token" } } })],
      fakes: [fake(secretStore, "secrets", { resolve: async () => ({ value: token, version: 1 }) })],
      leakCheck: false,
    });
    const cloud = kernel.get(cloudConnector, "far");
    expect(await cloud.checkCredentials({})).toMatchObject({ identity: "token of datacenter 'far-away'" });
    const { implementation, attributes } = await cloud.describe({ scope: {} });
    expect(implementation.simulated).toBe(false);
    expect(attributes).toMatchObject({ regions: ["far-away"], stamp: "same-request" });
    expect(JSON.stringify(await cloud.describe({ scope: {} }))).not.toContain(token);
  });

  it("uses a rotated token at once", async () => {
    const { url } = await serve();
    let value = "a-token-that-was-once-right";
    const kernel = await createTestKernel({
      plugins: [use(plugin, { config: { name: "far", baseUrl: url, token: { name: "far-token" } } })],
      fakes: [fake(secretStore, "secrets", { resolve: async () => ({ value, version: 1 }) })],
      leakCheck: false,
    });
    const cloud = kernel.get(cloudConnector, "far");
    await expect(cloud.checkCredentials({})).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    value = token;
    await expect(cloud.checkCredentials({})).resolves.toBeDefined();
  });

  it("says UNAVAILABLE when nobody is there, without the token", async () => {
    const { url } = await serve();
    for (const close of closers.splice(0).reverse()) await close();
    const failed = connectorTo(url).listInstances({}, createOperationContext());
    await expect(failed).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
    await expect(failed).rejects.not.toThrow(token);
  });

  it("ends a call when its context is cancelled, and when its deadline passes", async () => {
    const { world, url } = await serve();
    world.faults.add({ point: "vdc.cloud", operation: "listInstances", hang: true });
    const controller = new AbortController();
    const hanging = connectorTo(url).listInstances({}, createOperationContext({ signal: controller.signal }));
    controller.abort();
    await expect(hanging).rejects.toMatchObject({ code: "CANCELLED" });
    const late = createOperationContext({ timeoutMs: 50 });
    await expect(connectorTo(url).listInstances({}, late)).rejects.toMatchObject({
      code: expect.stringMatching(/^(CANCELLED|DEADLINE_EXCEEDED)$/),
    });
  });

  it("offers a region's sizes alone when that is asked for", async () => {
    const { url } = await serve();
    const { items } = await connectorTo(url).listOfferings({ region: "simulated-2" }, createOperationContext());
    expect(new Set(items.map(({ region }) => region))).toEqual(new Set(["simulated-2"]));
    expect(items).toHaveLength(3);
  });

  it("does not send its token in the clear to another machine", () => {
    expect(() => checkAddress("http://example.test")).toThrowError(/in the clear/);
    for (const fine of ["https://example.test", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"]) {
      expect(() => checkAddress(fine)).not.toThrow();
    }
  });
});
