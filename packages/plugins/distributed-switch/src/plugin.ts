import { all, definePlugin, fromConfig, one, type Plugin, provides } from "@vdc-os/core";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { openSwitchControl } from "./control/open-switch-control.ts";
import { distributedSwitchConfig } from "./control/plugin-config.ts";

/** The distributed switch as a plugin of the manager. What it makes on the hosts goes on when it stops. */
const plugin: Plugin = definePlugin({
  name: "@vdc-os/plugin-distributed-switch",
  version: "0.1.0",
  core: "0.1",
  summary: "A userspace switch that spans hosts with VXLAN.",
  provides: [provides(distributedSwitch, { name: fromConfig("name") })],
  requires: { hosts: all(hostRuntime), state: one(stateStore) },
  config: distributedSwitchConfig,
  async setup(context, config) {
    const { hosts, state } = context.requires;
    const control = await context.acquire(
      "switch control",
      () =>
        openSwitchControl({
          config,
          store: state,
          hosts,
          signal: context.signal,
          clock: context.clock,
          logger: context.logger,
        }),
      (opened) => opened.close(),
    );
    context.provide(distributedSwitch, control, { name: config.name });
  },
});

export default plugin;
