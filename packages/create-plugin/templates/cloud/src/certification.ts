import { type CloudConnector, cloudConnector } from "@vdc-os/core/cloud/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { CloudConnectorInstance } from "@vdc-os/ready/cloud";
import { MemoryAccount } from "./memory-account.ts";

/** What the cloud suite is run on: the plugin, with an account of its own for each requirement. */
export async function create(kit: CertificationKit): Promise<CloudConnectorInstance> {
  const address = kit.folder();
  const account = MemoryAccount.at(address);
  const connect = async (token: string): Promise<CloudConnector> => {
    const config = { name: "certified", address, token };
    return (await kit.start(cloudConnector, { config })).implementation;
  };
  return {
    implementation: await connect("known"),
    request: { image: "debian", size: "small", networks: ["inside"] },
    wrongCredentials: () => connect("unknown"),
    reopen: () => connect("known"),
    loseNextAnswer: () => {
      account.loseNextAnswer = true;
    },
    makeForeign: () => {
      const common = { name: "foreign", image: "debian", size: "small", region: "here", addresses: [], createdAt: 1 };
      account.put({ instanceId: "foreign", state: "running", ...common });
      return "foreign";
    },
  };
}
