import { distributedSwitch } from "@vdc-os/core/network/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { makeWorld } from "./plugin.ts";

/** What the network suite is run on. */
export async function create(kit: CertificationKit): Promise<NetworkInstance> {
  const world = makeWorld(kit);
  let running = await kit.start(distributedSwitch);
  return {
    implementation: running.implementation,
    hosts: ["host-1", "host-2"],
    async openNic({ attachment }) {
      const port = world.openNic(attachment);
      const nic = {
        send: (frame: Uint8Array) => port.send(frame),
        onFrame: (_frame: Uint8Array): void => undefined,
        close: () => port.close(),
      };
      port.listen((frame) => nic.onFrame(frame));
      return nic;
    },
    async restart() {
      await running.stop();
      running = await kit.start(distributedSwitch);
      return running.implementation;
    },
  };
}
