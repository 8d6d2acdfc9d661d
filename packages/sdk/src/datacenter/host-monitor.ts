import { type Clock, isVdcError, type Logger, toVdcError } from "@vdc-os/core";
import { type ComputeInventory, hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import type { Kernel, Provided } from "@vdc-os/core/kernel";
import type { ControlPlane } from "../controller/control-plane.ts";
import { hostKind, type HostStatus } from "../kinds/host-spec.ts";
import { virtualMachineKind } from "../kinds/virtual-machine-spec.ts";
import { readyCondition } from "../resource/condition.ts";
import type { HostConnection, HostLink, HostOpenOptions } from "./host-link.ts";

/** Options of {@link HostMonitor}. */
export interface HostMonitorOptions {
  readonly link: HostLink;
  readonly open: HostOpenOptions;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called each time the host is there again. */
  onConnected(host: string): void;
}

const firstRetryMs = 200;
const maxRetryMs = 5_000;

/**
 * Keeps one host connected: registers what it provides under its name, takes that away when it is gone, and comes back to it. What it finds
 * is written into the host's object; each change of a VM on it wakes that VM's controller.
 */
export class HostMonitor {
  readonly #options: HostMonitorOptions;
  readonly #stop = new AbortController();
  #plane: ControlPlane | undefined;
  #connection: HostConnection | undefined;
  #provided: Provided[] = [];
  #loop: Promise<void> | undefined;

  constructor(options: HostMonitorOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.link.name;
  }

  /** Opens the host for the first time. A host that can't be opened is tried again in the background. */
  async connect(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      this.#options.open.signal.throwIfAborted();
      this.#options.logger.warn("a host could not be opened; it is tried again", {
        host: this.name,
        error: toVdcError(error).message,
      });
    }
  }

  /** From now on keeps the host's object, and the connection. */
  start(plane: ControlPlane): void {
    this.#plane = plane;
    this.#loop = this.#run();
  }

  /** Leaves the host, running or with nothing left of it. */
  async close(options: { readonly stop: boolean }): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await this.#withdraw();
    await this.#connection?.close(options);
    this.#connection = undefined;
    if (!options.stop) return;
    // A host that is not connected just now, or was about to be opened again, goes too.
    const { directory, datacenter } = this.#options.open;
    await this.#options.link.sweep({ directory, datacenter });
  }

  async #open(): Promise<void> {
    const { link, kernel } = this.#options;
    const signal = AbortSignal.any([this.#options.open.signal, this.#stop.signal]);
    const connection = await link.open({ ...this.#options.open, signal });
    try {
      for (const { point, name } of connection.providers()) {
        if (point === hostRuntime.id)
          this.#provided.push(kernel.provide(hostRuntime, link.name, connection.provider(hostRuntime, name)));
        if (point === hypervisor.id)
          this.#provided.push(kernel.provide(hypervisor, link.name, connection.provider(hypervisor, name)));
      }
    } catch (error) {
      await this.#withdraw();
      await connection.close({ stop: false });
      throw error;
    }
    this.#connection = connection;
  }

  async #withdraw(): Promise<void> {
    await Promise.allSettled(this.#provided.splice(0).map((provided) => provided.remove()));
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#options;
    const stopped = new Promise<"stopped">((resolve) => {
      if (this.#stop.signal.aborted) resolve("stopped");
      this.#stop.signal.addEventListener("abort", () => resolve("stopped"), { once: true });
    });
    let retryMs = firstRetryMs;
    while (!this.#stop.signal.aborted) {
      const connection = this.#connection;
      if (connection !== undefined) {
        retryMs = firstRetryMs;
        const session = new AbortController();
        const work = this.#attend(session.signal);
        const reason = await Promise.race([connection.closed, stopped]);
        session.abort();
        await work;
        if (reason === "stopped") return;
        logger.warn("a host is gone", { host: this.name, reason });
        this.#connection = undefined;
        await this.#withdraw();
        await this.#record({ state: "disconnected" }, reason);
        this.#plane?.enqueue(virtualMachineKind);
      }
      try {
        await this.#open();
        this.#options.onConnected(this.name);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        const { message } = toVdcError(error);
        await this.#record({ state: "disconnected" }, message);
        await clock.sleep(retryMs, { signal: this.#stop.signal }).catch(() => {});
        retryMs = Math.min(retryMs * 2, maxRetryMs);
      }
    }
  }

  /** While the host is connected: records what it is, and follows its VMs. Never throws. */
  async #attend(signal: AbortSignal): Promise<void> {
    const { kernel, clock, logger } = this.#options;
    let retryMs = firstRetryMs;
    // Until it is known what the host has, nothing is placed there.
    while (!signal.aborted) {
      try {
        await this.#record(await this.#inventory(signal), "");
        this.#plane?.enqueue(virtualMachineKind);
        break;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn("a host did not say what it has; it is asked again", {
          host: this.name,
          error: toVdcError(error).message,
        });
        await clock.sleep(retryMs, { signal }).catch(() => {});
        retryMs = Math.min(retryMs * 2, maxRetryMs);
      }
    }
    while (!signal.aborted) {
      try {
        for await (const item of kernel.get(hypervisor, this.name).watchVms({}, { signal })) {
          if (item.type === "resync") this.#plane?.enqueue(virtualMachineKind);
          else if (item.object.owner?.kind === virtualMachineKind.kind) {
            const { tenant, name } = item.object.owner;
            this.#plane?.enqueue(virtualMachineKind, { tenant, name });
          }
        }
      } catch (error) {
        if (signal.aborted || isVdcError(error, "NOT_FOUND") || isVdcError(error, "UNIMPLEMENTED")) return;
      }
      await clock.sleep(1_000, { signal }).catch(() => {});
    }
  }

  async #inventory(signal: AbortSignal): Promise<HostStatus> {
    const { kernel } = this.#options;
    const { hostId, bootId, address, failureDomain, cpus, memoryBytes } = await kernel
      .get(hostRuntime, this.name)
      .inventory({}, { signal });
    const host = { state: "connected", hostId, bootId, address, failureDomain, cpus, memoryBytes } as const;
    if (!kernel.all(hypervisor).has(this.name)) return host;
    const compute: ComputeInventory = await kernel.get(hypervisor, this.name).computeInventory({}, { signal });
    return {
      ...host,
      cpus: compute.cpus,
      memoryBytes: compute.memoryBytes,
      accelerator: compute.accelerator.kind,
      acceleratorEvidence: compute.accelerator.evidence,
      monitorVersion: compute.monitorVersion,
    };
  }

  async #record(change: HostStatus, message: string): Promise<void> {
    const key = { tenant: "default", name: this.name };
    const connected = change.state === "connected";
    try {
      const object = await this.#plane?.store.find(hostKind, key);
      if (object === undefined) return;
      await this.#plane?.store.updateStatus(
        hostKind,
        key,
        ({ status }) => ({
          status: { ...status, ...change },
          conditions: [
            {
              type: readyCondition,
              status: connected ? "True" : "False",
              reason: connected ? "Connected" : "Disconnected",
              message,
            },
          ],
        }),
        { observedGeneration: object.metadata.generation },
      );
    } catch (error) {
      this.#options.logger.warn("a host's status could not be recorded", {
        host: this.name,
        error: toVdcError(error).message,
      });
    }
  }
}
