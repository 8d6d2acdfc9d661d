import { type Clock, type Logger, silentLogger, systemClock } from "@vdc-os/core";
import { DesiredState, type DesiredStateStore } from "./desired-state.ts";
import type { HostDirectory } from "./host-member.ts";
import type { DistributedSwitchConfig } from "./plugin-config.ts";
import { shortHash } from "./state-key.ts";
import { SwitchControl } from "./switch-control.ts";

/** Options of {@link openSwitchControl}. */
export interface OpenSwitchControlOptions {
  readonly config: DistributedSwitchConfig;
  readonly store: DesiredStateStore;
  readonly hosts: HostDirectory;
  /** Ends its calls to the state store. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** Opens the control side of a switch: reads what is desired, takes over, and makes each host so. */
export async function openSwitchControl(options: OpenSwitchControlOptions): Promise<SwitchControl> {
  const { config, store, hosts, signal, clock = systemClock, logger = silentLogger } = options;
  const { name } = config;
  let control: SwitchControl | undefined;
  const state = await DesiredState.load({
    store,
    prefix: `network/${name}/`,
    onChange: () => control?.onChange(),
    signal,
  });
  const datacenter = config.datacenter ?? "default";
  control = new SwitchControl({
    state,
    hosts,
    provider: name,
    // A process id has 40 characters at most, and names a socket, so it is kept short.
    processId: name.length <= 20 ? `switch-${name}` : `switch-${shortHash(12, name)}`,
    owner: { datacenter, tenant: "system", kind: "network", name, uid: name },
    module: import.meta.resolve("@vdc-os/plugin-distributed-switch/dataplane"),
    underlayMtu: config.underlayMtu ?? 1500,
    basePort: config.basePort ?? 0,
    limits: config.limits,
    nics: config.nics ?? "stream",
    checkIntervalMs: config.checkIntervalMs ?? 2_000,
    requestTimeoutMs: config.requestTimeoutMs ?? 5_000,
    clock,
    logger,
  });
  control.start();
  return control;
}
