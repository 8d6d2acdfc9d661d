import { hostRuntime } from "@vdc-os/core/host/v1";
import type { SimulatedProgram } from "@vdc-os/plugin-simulator";
import type { CertificationKit } from "@vdc-os/ready";
import { type HostInstance, startCommand, startPlane, suitePlane } from "@vdc-os/ready/host";
import { makeWorld } from "./plugin.ts";

/** What the host suite is run on. Nothing runs: what the suite's programs do is simulated. */
export async function create(kit: CertificationKit): Promise<HostInstance> {
  makeWorld(kit, { programs: { [suitePlane]: program } });
  let running = await kit.start(hostRuntime);
  return {
    implementation: running.implementation,
    module: suitePlane,
    command: [suitePlane],
    async reopen() {
      await running.stop();
      running = await kit.start(hostRuntime);
      return running.implementation;
    },
  };
}

const program: SimulatedProgram = (self) => {
  if (self.args.length === 0) return startPlane(self, self.config);
  startCommand(self, self.args);
  return undefined;
};
