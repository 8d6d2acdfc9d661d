import { type GuestTimes, type SimulatedHostSpec, SimulatedHypervisor } from "../compute/simulated-hypervisor.ts";
import type { WorldServices } from "../world/world-services.ts";
import { SimulatedHostRuntime } from "./simulated-host-runtime.ts";

/** What a machine has of its world. */
export interface HostMachineOptions {
  readonly world: WorldServices;
  readonly times: GuestTimes;
  /** The host has come or gone. */
  readonly onChange: () => void;
}

/** A simulated host: what runs on it, and whether it answers. */
export class SimulatedHostMachine {
  readonly name: string;
  readonly runtime: SimulatedHostRuntime;
  readonly hypervisor: SimulatedHypervisor;
  readonly #onChange: () => void;
  readonly #connections: Set<(reason: string) => void> = new Set();
  #up = true;

  constructor(spec: SimulatedHostSpec, options: HostMachineOptions) {
    const whole: Required<SimulatedHostSpec> = {
      name: spec.name,
      cpus: spec.cpus ?? 8,
      memoryBytes: spec.memoryBytes ?? 32 * 1024 ** 3,
      failureDomain: spec.failureDomain ?? spec.name,
    };
    this.name = spec.name;
    this.runtime = new SimulatedHostRuntime(whole, options.world);
    this.hypervisor = new SimulatedHypervisor(whole, options.world, options.times);
    this.#onChange = options.onChange;
  }

  get isUp(): boolean {
    return this.#up;
  }

  /** The host loses its power: its machines and processes are gone, its connections end, and calls fail with `UNAVAILABLE`. */
  fail(reason: string = "the simulated host was made to fail"): void {
    if (!this.#up) return;
    this.#up = false;
    this.hypervisor.powerLost();
    this.runtime.reboot();
    this.dropConnections(reason);
    this.#onChange();
  }

  /** Only the way to the host is cut: what runs on it goes on. */
  partition(reason: string = "the network to the simulated host was cut"): void {
    if (!this.#up) return;
    this.#up = false;
    this.dropConnections(reason);
    this.#onChange();
  }

  /** The host answers again. */
  restore(): void {
    if (this.#up) return;
    this.#up = true;
    this.#onChange();
  }

  /** Ends the connections to the host; new ones can be opened at once. */
  dropConnections(reason: string): void {
    for (const drop of [...this.#connections]) drop(reason);
  }

  /** Told when the connections end. Returns what stops that. */
  onDrop(drop: (reason: string) => void): () => void {
    this.#connections.add(drop);
    return () => void this.#connections.delete(drop);
  }
}
