import { definePlugin, type Plugin, provides } from "@vdc-os/core";
import { type DistributedSwitch, distributedSwitch } from "@vdc-os/core/network/v1";

/** A plugin with a switch that is there already, under the name `full`. */
export function switchPlugin(implementation: DistributedSwitch): Plugin {
  return definePlugin({
    name: "@vdc-os/tests-switch",
    version: "1.0.0",
    core: "0.1",
    summary: "A switch of a test.",
    provides: [provides(distributedSwitch, { name: "full" })],
    setup(context) {
      context.provide(distributedSwitch, implementation, { name: "full" });
    },
  });
}
