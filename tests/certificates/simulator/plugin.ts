import type { Plugin } from "@vdc-os/core";
import { SimulatedWorld, type SimulatedWorldOptions, simulator } from "@vdc-os/plugin-simulator";
import type { CertificationKit } from "@vdc-os/ready";

let world: SimulatedWorld | undefined;

/** Every point, as the package's own plugin has them. It shows the world that was made last: a suite's doors, such as its NICs, are the world's. */
const plugin: Plugin = simulator({
  hosts: ["host-1"],
  get world() {
    return world as SimulatedWorld;
  },
});

/** Makes the world of one requirement. */
export function makeWorld(kit: CertificationKit, options: SimulatedWorldOptions = {}): SimulatedWorld {
  const made = new SimulatedWorld(options);
  kit.defer(() => made.dispose());
  showWorld(made);
  return made;
}

/** Has what is started from now on show a world. */
export function showWorld(shown: SimulatedWorld): void {
  world = shown;
}

export default plugin;
