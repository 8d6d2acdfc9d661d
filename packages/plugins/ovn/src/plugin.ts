import { readFile } from "node:fs/promises";
import { definePlugin, fromConfig, type Plugin, provides } from "@vdc-os/core";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import type { TlsSettings } from "@vdc-os/ovsdb";
import { OvnSwitch } from "./control/ovn-switch.ts";
import { type OvnConfig, ovnConfig } from "./ovn-config.ts";

/** OVN as a distributed switch, as a plugin of the manager. What it makes in OVN goes on when it stops. */
const plugin: Plugin = definePlugin<OvnConfig>({
  name: "@vdc-os/plugin-ovn",
  version: "0.1.0",
  core: "0.1",
  summary: "Switches over OVN's chassis.",
  provides: [provides(distributedSwitch, { name: fromConfig("name") })],
  config: ovnConfig,
  async setup(context, config) {
    const tls = config.tls === undefined ? undefined : await readTls(config.tls);
    const opened = await context.acquire(
      `OVN of '${config.name}'`,
      () =>
        OvnSwitch.open({ config, clock: context.clock, logger: context.logger, ...(tls === undefined ? {} : { tls }) }),
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
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(file)));
  return { ca, cert, key } as TlsSettings;
}

export default plugin;
