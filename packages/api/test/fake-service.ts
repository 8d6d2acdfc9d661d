import { VdcError } from "@vdc-os/core";
import type { CloudInstance } from "@vdc-os/core/cloud/v1";
import type { ApiService } from "../src/index.ts";

/** A service with one instance. What a test does not change answers with little. */
export function fakeService(change: Partial<ApiService> = {}): ApiService {
  return {
    about: async () => ({ name: "here", uid: "uid-here", version: "0.1.0", apiVersions: ["v1"] }),
    listSizes: async () => ({ items: [] }),
    listImages: async () => ({ items: [] }),
    listNetworks: async () => ({ items: [] }),
    createInstance: async ({ name, image, size, stamp }) => ({ ...oneInstance, name, image, size, stamp }),
    async getInstance(instanceId) {
      if (instanceId === oneInstance.instanceId) return oneInstance;
      throw new VdcError("NOT_FOUND", `there is no instance '${instanceId}'`);
    },
    listInstances: async () => ({ items: [oneInstance] }),
    removeInstance: async () => ({ operationId: "o-1", state: "running" }),
    getOperation: async (operationId) => ({ operationId, state: "succeeded" }),
    readConsole: async (_, offset) => ({ offset, text: "hello" }),
    ...change,
  };
}

/** The instance of {@link fakeService}. */
export const oneInstance: CloudInstance = {
  instanceId: "i-1",
  name: "web",
  state: "running",
  image: "debian",
  size: "small",
  region: "here",
  addresses: [],
  createdAt: 1_000,
};
