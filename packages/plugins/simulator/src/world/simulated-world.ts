import { type Clock, type OperationContext, type Random, systemClock, toVdcError, VdcError } from "@vdc-os/core";
import { type CloudConnector, cloudConnector } from "@vdc-os/core/cloud/v1";
import { type Hypervisor, hypervisor } from "@vdc-os/core/compute/v1";
import { type HostRuntime, hostRuntime } from "@vdc-os/core/host/v1";
import { type DistributedSwitch, distributedSwitch, type PortAttachment } from "@vdc-os/core/network/v1";
import { type SecretStore, secretStore } from "@vdc-os/core/secret/v1";
import { type StateStore, stateStore } from "@vdc-os/core/state/v1";
import { type StorageProvider, storageProvider, type VolumeTransport } from "@vdc-os/core/storage/v1";
import { createTestRandom } from "@vdc-os/core/testing";
import { CloudAccount, type CloudOptions } from "../cloud/cloud-account.ts";
import { SimulatedCloud } from "../cloud/simulated-cloud.ts";
import type { SimulatedHostSpec } from "../compute/simulated-hypervisor.ts";
import { SimulatedHostMachine } from "../host/simulated-host-machine.ts";
import type { SimulatedProgram } from "../host/simulated-program.ts";
import type { SimulatedNic } from "../network/simulated-nic.ts";
import { SimulatedSwitch } from "../network/simulated-switch.ts";
import { SimulatedSecretStore } from "../secret/simulated-secret-store.ts";
import { SimulatedStateStore } from "../state/simulated-state-store.ts";
import type { SimulatedBlockDevice } from "../storage/simulated-block-device.ts";
import { SimulatedStorage } from "../storage/simulated-storage.ts";
import type { PoolOptions } from "../storage/volume-pool.ts";
import { CallLog, type CallSite } from "./call-log.ts";
import { FaultInjector } from "./fault-injector.ts";
import { type CallRunner, instrument } from "./instrument.ts";
import { type Latency, LatencyModel } from "./latency-model.ts";
import type { WorldServices } from "./world-services.ts";

/** Options of {@link SimulatedWorld}. */
export interface SimulatedWorldOptions {
  /** Shows in the paths that it gives out. Defaults to `world`. */
  readonly name?: string;
  /** Defaults to none; more can be added later. */
  readonly hosts?: readonly SimulatedHostSpec[];
  /** The same seed and the same calls give the same world. Defaults to 1. */
  readonly seed?: number;
  /** Defaults to the machine's clock. Give a test clock, and time passes when the test says so. */
  readonly clock?: Clock;
  /** How long calls take. Defaults to 0. */
  readonly latencyMs?: Latency;
  /** Each call takes up to this fraction more. Defaults to 0. */
  readonly jitter?: number;
  /** From a guest's power-on to `VDC-READY`, in milliseconds. Defaults to 20. */
  readonly bootMs?: number;
  /** How long a guest takes to shut down when it is asked to, in milliseconds. Defaults to 10. */
  readonly shutdownMs?: number;
  /** What its pools are like. */
  readonly pool?: PoolOptions;
  /** What single pools are like, by name, where they differ from `pool`. */
  readonly pools?: Readonly<Record<string, PoolOptions>>;
  /** What its clouds are like. */
  readonly cloud?: CloudOptions;
  /**
   * What its hosts have to run: what each does, by a module's specifier or a command. What is not among them is refused as not installed. Defaults to
   * whatever they are asked for, which does nothing.
   */
  readonly programs?: Readonly<Record<string, SimulatedProgram>>;
}

/**
 * A datacenter's outside, in memory: hosts, pools, switches, clouds and stores. Its providers are the implementations of the extension points;
 * they share this world, so that a VM reads the volume that storage attached and talks to another through the switch.
 *
 * It outlives the kernels that use it: ask for a provider again and it has what it had. Everything is simulated, and says so.
 *
 * @example
 * ```ts
 * const world = new SimulatedWorld({ hosts: [{ name: "host-1" }, { name: "host-2" }], clock: createTestClock() });
 * world.faults.add({ point: "vdc.storage", operation: "createVolume", nth: 2, error: "UNAVAILABLE" });
 * const volume = await world.storage().createVolume({ name: "disk", capacityBytes: 1 << 20 }, createOperationContext());
 * ```
 */
export class SimulatedWorld implements WorldServices {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  /** What goes wrong. */
  readonly faults: FaultInjector;
  /** How long calls take. */
  readonly latency: LatencyModel;
  /** What was called. */
  readonly log: CallLog = new CallLog();
  readonly programs: Readonly<Record<string, SimulatedProgram>> | undefined;
  readonly #options: SimulatedWorldOptions;
  readonly #hosts: Map<string, SimulatedHostMachine> = new Map();
  readonly #storages: Map<string, SimulatedStorage> = new Map();
  readonly #switches: Map<string, SimulatedSwitch> = new Map();
  readonly #clouds: Map<string, CloudAccount> = new Map();
  readonly #states: Map<string, SimulatedStateStore> = new Map();
  readonly #secrets: Map<string, SimulatedSecretStore> = new Map();
  readonly #runner: CallRunner;
  readonly #ids: Map<string, number> = new Map();

  constructor(options: SimulatedWorldOptions = {}) {
    const seed = options.seed ?? 1;
    this.#options = options;
    this.programs = options.programs;
    this.name = options.name ?? "world";
    this.clock = options.clock ?? systemClock;
    this.random = createTestRandom(seed);
    // Each has a sequence of its own, so that a fault that was added does not change how long calls take.
    this.faults = new FaultInjector(createTestRandom(seed + 1));
    this.latency = new LatencyModel(options.latencyMs ?? 0, options.jitter ?? 0, createTestRandom(seed + 2));
    this.#runner = { run: (site, input, context, perform) => this.#run(site, input, context, perform) };
    for (const host of options.hosts ?? []) this.addHost(host);
  }

  /** The names of its hosts. */
  get hosts(): readonly string[] {
    return [...this.#hosts.keys()];
  }

  addHost(spec: SimulatedHostSpec): SimulatedHostMachine {
    if (this.#hosts.has(spec.name)) throw new VdcError("ALREADY_EXISTS", `there is a simulated host '${spec.name}'`);
    const times = { bootMs: this.#options.bootMs ?? 20, shutdownMs: this.#options.shutdownMs ?? 10 };
    const onChange = (): void => {
      for (const network of this.#switches.values()) network.hostChanged();
    };
    const host = new SimulatedHostMachine(spec, { world: this, times, onChange });
    this.#hosts.set(spec.name, host);
    return host;
  }

  /** A host's machine: to make it fail, and come back. `NOT_FOUND` when there is none. */
  host(name: string): SimulatedHostMachine {
    const host = this.#hosts.get(name);
    if (host !== undefined) return host;
    const known = this.hosts.map((other) => `'${other}'`).join(", ");
    throw new VdcError("NOT_FOUND", `there is no simulated host '${name}': there is ${known === "" ? "none" : known}`);
  }

  storage(name: string = "simulated"): StorageProvider {
    return instrument(this.#runner, storageProvider, name, this.#storage(name));
  }

  network(name: string = "simulated"): DistributedSwitch {
    let network = this.#switches.get(name);
    if (network === undefined) {
      network = new SimulatedSwitch(name, this, (host) => this.#hosts.get(host)?.isUp ?? true);
      this.#switches.set(name, network);
    }
    return instrument(this.#runner, distributedSwitch, name, network);
  }

  hypervisor(host: string): Hypervisor {
    return instrument(this.#runner, hypervisor, host, this.host(host).hypervisor);
  }

  hostRuntime(host: string): HostRuntime {
    return instrument(this.#runner, hostRuntime, host, this.host(host).runtime);
  }

  /** A connector to a cloud's account; with `authenticated: false`, one whose credentials are wrong. */
  cloud(name: string = "simulated", options: { readonly authenticated?: boolean } = {}): CloudConnector {
    return instrument(this.#runner, cloudConnector, name, new SimulatedCloud(this.cloudAccount(name), options));
  }

  /** What is in a cloud, to look at and to change behind the connector's back. */
  cloudAccount(name: string = "simulated"): CloudAccount {
    let account = this.#clouds.get(name);
    if (account === undefined) {
      account = new CloudAccount(name, this, this.#options.cloud);
      this.#clouds.set(name, account);
    }
    return account;
  }

  stateStore(name: string = "simulated"): StateStore {
    let store = this.#states.get(name);
    if (store === undefined) {
      store = new SimulatedStateStore(this);
      this.#states.set(name, store);
    }
    return instrument(this.#runner, stateStore, name, store);
  }

  secretStore(name: string = "simulated"): SecretStore {
    let store = this.#secrets.get(name);
    if (store === undefined) {
      store = new SimulatedSecretStore(this.random);
      this.#secrets.set(name, store);
    }
    return instrument(this.#runner, secretStore, name, store);
  }

  openTransport(transport: VolumeTransport): SimulatedBlockDevice {
    for (const storage of this.#storages.values()) {
      const device = storage.open(transport);
      if (device !== undefined) return device;
    }
    throw new VdcError("NOT_FOUND", `no simulated pool of '${this.name}' serves this ${transport.kind} transport`);
  }

  openNic(attachment: PortAttachment): SimulatedNic {
    for (const network of this.#switches.values()) {
      const nic = network.openNic(attachment);
      if (nic !== undefined) return nic;
    }
    throw new VdcError(
      "NOT_FOUND",
      `no simulated switch of '${this.name}' has this ${attachment.kind} attachment connected`,
    );
  }

  nextId(kind: string): string {
    const next = (this.#ids.get(kind) ?? 0) + 1;
    this.#ids.set(kind, next);
    return `sim-${kind}-${next}`;
  }

  /** Ends everything that is under way: machines, leases, instances that are being made. */
  dispose(): void {
    for (const host of this.#hosts.values()) host.fail("the simulated world has ended");
    for (const network of this.#switches.values()) network.dispose();
    for (const store of this.#states.values()) store.dispose();
    for (const cloud of this.#clouds.values()) cloud.dispose();
  }

  #storage(name: string): SimulatedStorage {
    let storage = this.#storages.get(name);
    if (storage === undefined) {
      storage = new SimulatedStorage(name, this, { ...this.#options.pool, ...this.#options.pools?.[name] });
      this.#storages.set(name, storage);
    }
    return storage;
  }

  async #run<R>(site: CallSite, input: unknown, context: OperationContext, perform: () => Promise<R>): Promise<R> {
    const call = this.log.begin(site, input, this.clock.now());
    try {
      const result = await this.#suffer(site, context, perform);
      call.outcome = "ok";
      return result;
    } catch (error) {
      const failure = toVdcError(error);
      call.outcome = failure.code;
      throw failure;
    }
  }

  async #suffer<R>(site: CallSite, context: OperationContext, perform: () => Promise<R>): Promise<R> {
    const { signal } = context;
    const { delayMs = 0, hang, error, crashAfter } = this.faults.take(site);
    if (signal.aborted) throw toVdcError(signal.reason);
    const host = site.point === hypervisor.id || site.point === hostRuntime.id ? this.#hosts.get(site.name) : undefined;
    const takesMs = this.latency.of(site) + delayMs;
    if (takesMs > 0) await this.clock.sleep(takesMs, { signal });
    if (hang) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      throw toVdcError(signal.reason);
    }
    if (error !== undefined) throw error;
    if (host?.isUp === false) throw new VdcError("UNAVAILABLE", `simulated host '${site.name}' does not answer`);
    const result = await perform();
    if (crashAfter) {
      host?.dropConnections("it was made to crash after a call");
      throw new VdcError("UNAVAILABLE", `simulated fault: the answer of '${site.operation}' was lost`, {
        reason: "VDC_SIMULATED_FAULT",
      });
    }
    return result;
  }
}
