import { type ApiService, startApiServer } from "@vdc-os/api";
import { VdcError } from "@vdc-os/core";
import { type CloudConnector, cloudConnector } from "@vdc-os/core/cloud/v1";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import type { CertificationKit } from "@vdc-os/ready";
import type { CloudConnectorInstance } from "@vdc-os/ready/cloud";
import { startCuttingProxy } from "@vdc-os/testing";
import { startKillable } from "./killable-plugin.ts";
import { memorySecrets } from "./memory-secrets.ts";

const token = "a-token-that-is-long-enough";

/** What the cloud suite is run on: a simulated cloud behind a real HTTP server, whose token is in a secret store. */
export async function create(kit: CertificationKit): Promise<CloudConnectorInstance> {
  const world = new SimulatedWorld({ cloud: { createMs: 15, removeMs: 15 } });
  kit.defer(() => world.dispose());
  const server = await startApiServer({ service: serviceOf(world.cloud()), token });
  kit.defer(() => server.close());
  const proxy = await startCuttingProxy(server.url);
  kit.defer(() => proxy.close());
  const plugins = [await memorySecrets({ right: token, wrong: "a-token-that-is-not-known" })];
  const open = async (baseUrl: string, name: string): Promise<CloudConnector> => {
    const config = { name: "far", baseUrl, token: { name } };
    return (await kit.start(cloudConnector, { config, plugins })).implementation;
  };
  return {
    implementation: await open(proxy.url, "right"),
    request: { image: "debian", size: "small", networks: ["default"] },
    wrongCredentials: () => open(server.url, "wrong"),
    reopen: () => open(server.url, "right"),
    async killable() {
      const config = { name: "far", baseUrl: server.url, token: { name: "right" } };
      const { implementation, kill } = await startKillable(kit, cloudConnector, { name: "far", config, plugins });
      return {
        implementation,
        async kill() {
          await kill();
          return open(server.url, "right");
        },
      };
    },
    loseNextAnswer: () => proxy.cutNextAnswer(),
    makeForeign: () => world.cloudAccount().addForeign("foreign").instanceId,
  };
}

/** A cloud, served as a datacenter's HTTP API would serve it. */
function serviceOf(cloud: CloudConnector): ApiService {
  return {
    about: async () => ({ name: "far-away", uid: "uid-far-away", version: "0.1.0", apiVersions: ["v1"] }),
    listSizes: (page, context) => cloud.listOfferings(page, context),
    listImages: (filter, context) => cloud.listImages(filter, context),
    listNetworks: (page, context) => cloud.listNetworks(page, context),
    createInstance: (input, context) => cloud.createInstance(input, context),
    async getInstance(instanceId, context) {
      const found = await cloud.observeInstance({ by: { instanceId } }, context);
      if (found.state === "present") return found.instance;
      throw new VdcError("NOT_FOUND", `there is no instance '${instanceId}'`);
    },
    async listInstances({ token: wanted, ...filter }, context) {
      if (wanted === undefined) return cloud.listInstances(filter, context);
      const found = await cloud.observeInstance({ by: { token: wanted } }, context);
      if (found.state === "absent") return { items: [] };
      return { items: found.state === "present" ? [found.instance] : found.instances };
    },
    removeInstance: (instanceId, context) => cloud.removeInstance({ instanceId }, context),
    getOperation: (operationId, context) => cloud.getOperation({ operationId }, context),
    readConsole: async () => ({ offset: 0, text: "" }),
  };
}
