import type { ApiService } from "@vdc-os/api";
import { VdcError } from "@vdc-os/core";
import type { CloudConnector } from "@vdc-os/core/cloud/v1";

/** A cloud connector, served as a datacenter's HTTP API would serve it. */
export function cloudService(cloud: CloudConnector): ApiService {
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
    async listInstances({ token, ...filter }, context) {
      if (token === undefined) return cloud.listInstances(filter, context);
      const found = await cloud.observeInstance({ by: { token } }, context);
      if (found.state === "absent") return { items: [] };
      return { items: found.state === "present" ? [found.instance] : found.instances };
    },
    removeInstance: (instanceId, context) => cloud.removeInstance({ instanceId }, context),
    getOperation: (operationId, context) => cloud.getOperation({ operationId }, context),
    readConsole: async () => ({ offset: 0, text: "" }),
  };
}
