import type { CloudConnectorInstance } from "@vdc-os/ready/cloud";
import { PuddleClient } from "./puddle-client.ts";
import { PuddleCloud } from "./puddle-cloud.ts";
import { PuddleConnector } from "./puddle-connector.ts";

/** What the certification suite asks of an author: a connector to an account with nothing in it, fresh for each requirement. */
export async function createInstance(): Promise<CloudConnectorInstance> {
  const cloud = await PuddleCloud.open("right");
  const connect = (token: string) => new PuddleConnector(async () => new PuddleClient(cloud.url, token));
  return {
    implementation: connect("right"),
    request: { image: "debian", size: "small", networks: ["room"] },
    wrongCredentials: () => connect("wrong"),
    reopen: () => connect("right"),
    loseNextAnswer: () => {
      cloud.loseNextAnswer = true;
    },
    makeForeign: () => cloud.make({ name: "by-hand", image: "debian", size: "small", clientToken: "", tags: {} }).id,
    dispose: () => cloud[Symbol.asyncDispose](),
  };
}
