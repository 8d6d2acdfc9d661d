import { readFile } from "node:fs/promises";
import { definePlugin, fromConfig, one, type Plugin, provides } from "@vdc-os/core";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import type { TlsSettings } from "@vdc-os/ovsdb";
import { OpenVswitchSwitch } from "./control/openvswitch-switch.ts";
import { openVswitchConfig } from "./openvswitch-config.ts";

/** Open vSwitch as a distributed switch, as a plugin of the manager. What it makes on the hosts goes on when it stops. */
const plugin: Plugin = definePlugin({
  name: "@vdc-os/plugin-openvswitch",
  version: "0.1.0",
  core: "0.1",
  summary: "Switches over Open vSwitch bridges of each host.",
  provides: [provides(distributedSwitch, { name: fromConfig("name") })],
  requires: { state: one(stateStore) },
  config: openVswitchConfig,
  async setup(context, config) {
    const { state } = context.requires;
    const tls = config.tls === undefined ? undefined : await readTls(config.tls);
    const opened = await context.acquire(
      `Open vSwitch of '${config.name}'`,
      () =>
        OpenVswitchSwitch.open({
          config,
          store: state,
          signal: context.signal,
          clock: context.clock,
          logger: context.logger,
          ...(tls === undefined ? {} : { tls }),
        }),
      (control) => control.close(),
    );
    context.provide(distributedSwitch, opened, { name: config.name });
  },
});

async function readTls(files: {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}): Promise<TlsSettings> {
  const [ca, cert, key] = await Promise.all([readFile(files.ca), readFile(files.cert), readFile(files.key)]);
  return { ca, cert, key };
}

export default plugin;
