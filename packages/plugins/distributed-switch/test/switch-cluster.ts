import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type OperationContext } from "@vdc-os/core";
import type { ConnectPort, PortBinding, PortSetting, SwitchSpec, SwitchStatus } from "@vdc-os/core/network/v1";
import { MemoryStateStore } from "@vdc-os/ready/state";
import type { DesiredStateStore } from "../src/control/desired-state.ts";
import type { HostDirectory, SwitchHostRuntime } from "../src/control/host-member.ts";
import { openSwitchControl } from "../src/control/open-switch-control.ts";
import type { DistributedSwitchConfig } from "../src/control/plugin-config.ts";
import type { SwitchControl } from "../src/control/switch-control.ts";
import { FakeHost } from "./fake-host.ts";
import { FakeNic } from "./fake-nic.ts";
import { SpawnedHost } from "./spawned-host.ts";

/** What holds where a test says nothing. */
export const openSetting: PortSetting = {
  vlan: { kind: "none" },
  blocked: false,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
};

/** A spec with a port group of each VLAN: `flat`, `red` (10), `blue` (20) and `trunk` (10 and 20). */
export function testSpec(hosts: readonly string[], changes: Partial<SwitchSpec> = {}): SwitchSpec {
  const group = (key: string, vlan: PortSetting["vlan"]): SwitchSpec["portGroups"][number] => ({
    key,
    name: key,
    binding: "ephemeral",
    setting: { ...openSetting, vlan },
  });
  return {
    switchId: "sw",
    name: "sw",
    mtu: 1450,
    transport: "overlay",
    members: hosts.map((host) => ({ host, uplinks: [] })),
    portGroups: [
      group("flat", { kind: "none" }),
      group("red", { kind: "access", id: 10 }),
      group("blue", { kind: "access", id: 20 }),
      group("trunk", {
        kind: "trunk",
        ranges: [
          { from: 10, to: 10 },
          { from: 20, to: 20 },
        ],
      }),
    ],
    ...changes,
  };
}

/** A manager with a state store that outlives it, and hosts that run in this process. */
export class SwitchCluster implements AsyncDisposable {
  readonly hosts: Map<string, SwitchHostRuntime> = new Map();
  readonly directory: string;
  control!: SwitchControl;
  readonly #stack = new AsyncDisposableStack();
  readonly #store = new MemoryStateStore();
  #signal = new AbortController();

  readonly #config: Partial<DistributedSwitchConfig>;

  private constructor(directory: string, config: Partial<DistributedSwitchConfig>) {
    this.directory = directory;
    this.#config = config;
  }

  static async create(
    hosts: readonly string[] = [],
    config: Partial<DistributedSwitchConfig> = {},
  ): Promise<SwitchCluster> {
    const cluster = new SwitchCluster(await mkdtemp(join(tmpdir(), "vdc-sw-")), config);
    cluster.#stack.defer(() => rm(cluster.directory, { recursive: true, force: true }));
    for (const host of hosts) cluster.addHost(host);
    await cluster.open();
    cluster.#stack.defer(() => cluster.control.close());
    return cluster;
  }

  get directoryOfHosts(): HostDirectory {
    return {
      has: (name) => this.hosts.has(name),
      get: (name) => {
        const host = this.hosts.get(name);
        if (host === undefined) throw new Error(`no host '${name}'`);
        return host;
      },
    };
  }

  get store(): DesiredStateStore {
    return {
      list: (input, options) => this.#store.list(input, createOperationContext(options)),
      transact: (input, options) => this.#store.transact(input, createOperationContext(options)),
    };
  }

  addHost(name: string): FakeHost {
    const host = this.#stack.use(new FakeHost(name, this.directory));
    this.hosts.set(name, host);
    return host;
  }

  /** A host whose switch process is a real process. */
  addSpawnedHost(name: string): SpawnedHost {
    const host = this.#stack.use(new SpawnedHost(name, this.directory));
    this.hosts.set(name, {
      inventory: () => host.inventory(),
      ensureProcess: (input) => host.ensureProcess(input),
      removeProcess: () => host.removeProcess(),
      request: (input, options = {}) => host.request(input, createOperationContext(options)),
    });
    return host;
  }

  host(name: string): FakeHost {
    return this.hosts.get(name) as FakeHost;
  }

  /** Starts the manager's part. */
  async open(): Promise<void> {
    this.#signal = new AbortController();
    this.control = await openSwitchControl({
      config: { name: "net", checkIntervalMs: 100, requestTimeoutMs: 20_000, ...this.#config },
      store: this.store,
      hosts: this.directoryOfHosts,
      signal: this.#signal.signal,
    });
  }

  /** Ends the manager's part without a word, and starts it again. */
  async restartManager(): Promise<void> {
    this.#signal.abort();
    await this.control.close();
    await this.open();
  }

  operation(): OperationContext {
    return createOperationContext({ timeoutMs: 120_000 });
  }

  async apply(spec: SwitchSpec, generation: number): Promise<void> {
    await this.control.applySwitch({ spec, generation }, this.operation());
  }

  connect(portKey: string, host: string, changes: Partial<ConnectPort> = {}): Promise<PortBinding> {
    const index = Number(portKey.replace(/\D/g, ""));
    return this.control.connectPort(
      {
        switchId: "sw",
        portGroup: "flat",
        portKey,
        host,
        mac: macOf(index),
        generation: 1,
        ...changes,
      },
      this.operation(),
    );
  }

  /** Connects a port and plays its VM. */
  async plug(portKey: string, host: string, changes: Partial<ConnectPort> = {}): Promise<FakeNic> {
    const binding = await this.connect(portKey, host, changes);
    if (binding.attachment.kind !== "qemu-stream") throw new Error("another attachment");
    const nic = await this.listen(binding.attachment.path, changes.mac ?? macOf(Number(portKey.replace(/\D/g, ""))));
    // The VM's end is connected before the switch's end knows it.
    await this.status(({ ports }) => ports.some((port) => port.portKey === portKey && port.link === "up"));
    return nic;
  }

  /** Plays the VM of a NIC whose socket is known. */
  async listen(path: string, mac: string): Promise<FakeNic> {
    return this.#stack.use(await FakeNic.listen(path, mac));
  }

  /** The first status that fulfils the condition. */
  async status(condition: (status: SwitchStatus) => boolean = () => true): Promise<SwitchStatus> {
    for await (const item of this.control.watchSwitch({ switchId: "sw" }, this.operation())) {
      if (item.type !== "resync" && condition(item.object)) return item.object;
    }
    throw new Error("no such status in time");
  }

  /** Resolves when every member has the generation, and knows every other. */
  allUp(generation: number): Promise<SwitchStatus> {
    return this.status(({ members }) =>
      members.every(
        ({ state, realizedGeneration, detail }) => state === "up" && realizedGeneration === generation && detail === "",
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function macOf(index: number): string {
  return `52:54:00:00:02:${index.toString(16).padStart(2, "0")}`;
}
