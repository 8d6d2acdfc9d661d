import { VdcError } from "../error/vdc-error.ts";
import { exchange } from "./exchange.ts";
import type { KernelServices } from "./kernel-services.ts";
import type { PluginInstance } from "./plugin-instance.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import type { PluginTable } from "./plugin-table.ts";
import { Startup } from "./startup.ts";

/** Where a kernel is. */
export type KernelPhase = "idle" | "starting" | "running" | "stopping";

/** Options of {@link PluginChanges}. */
export interface PluginChangesOptions {
  readonly plugins: PluginTable;
  readonly services: KernelServices;
  readonly phase: () => KernelPhase;
}

/** Options of {@link PluginChanges.exchange}. */
export interface ChangeOptions {
  /** What to register in place of what is registered now. */
  readonly next: (present: PluginRegistration) => PluginRegistration;
  /** Whether both generations may run side by side for a while. */
  readonly overlap: boolean;
  /** Why, for people: `its config was changed`. */
  readonly reason: string;
}

/** What changes in a kernel that runs: plugins are exchanged, tried again, or can start since something else came. */
export class PluginChanges {
  readonly #plugins: PluginTable;
  readonly #services: KernelServices;
  readonly #phase: () => KernelPhase;
  #resuming: Promise<void> | undefined;

  constructor(options: PluginChangesOptions) {
    this.#plugins = options.plugins;
    this.#services = options.services;
    this.#phase = options.phase;
  }

  /** Resolves when the changes under way are over. Each is bounded by its own deadlines. Never rejects. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#plugins.all.map(({ busy }) => busy), this.#resuming]);
  }

  /** Starts whatever is blocked or new and can start now. Called when something came that it may have waited for. */
  resume(): void {
    if (this.#phase() !== "running") return;
    const previous = this.#resuming ?? Promise.resolve();
    this.#resuming = previous.then(async () => {
      if (this.#phase() === "running") await this.#startMore(new Set());
    });
  }

  /** Starts a plugin that has failed or is blocked once more. Rejects with the cause when it fails again. */
  async retry(id: string): Promise<void> {
    const instance = this.#plugins.get(id);
    await serialise(instance, async () => {
      this.#assertRunning("retry a plugin");
      if (instance.state !== "failed" && instance.state !== "blocked") {
        throw new VdcError("FAILED_PRECONDITION", `plugin '${id}' is ${instance.state}: there is nothing to retry`);
      }
      await this.#startMore(new Set([instance]));
      assertRuns(instance);
    });
  }

  /** Gives a plugin another registration: that of an idle kernel is noted, a running plugin is exchanged, another one is started. */
  async exchange(id: string, { next: nextOf, overlap, reason }: ChangeOptions): Promise<void> {
    const instance = this.#plugins.get(id);
    await serialise(instance, async () => {
      const next = nextOf(instance.registration);
      this.#plugins.assertPlanAccepts(instance, next);
      if (this.#phase() === "idle") {
        instance.registration = next;
        return;
      }
      this.#assertRunning("exchange a plugin");
      if (instance.running) {
        await exchange({ instance, next, services: this.#services, overlap, reason });
        this.#plugins.applyPlan();
      } else {
        await this.#startAs(instance, next);
      }
    });
    this.resume();
  }

  async #startAs(instance: PluginInstance, next: PluginRegistration): Promise<void> {
    const previous = instance.registration;
    instance.registration = next;
    await this.#startMore(new Set([instance]));
    if (instance.running) return;
    instance.registration = previous;
    assertRuns(instance);
  }

  async #startMore(chosen: ReadonlySet<PluginInstance>): Promise<void> {
    this.#plugins.applyPlan();
    const order = this.#plugins.order.filter(
      (instance) => chosen.has(instance) || instance.state === "blocked" || instance.state === "registered",
    );
    if (order.length === 0) return;
    const { find } = this.#plugins;
    await new Startup({ order, find, services: this.#services, onRequiredFailed: () => undefined }).run().done;
  }

  #assertRunning(action: string): void {
    const phase = this.#phase();
    if (phase === "running") return;
    throw new VdcError("FAILED_PRECONDITION", `the kernel is ${phase}: it cannot ${action} now`);
  }
}

/** One change of a plugin after the other. */
async function serialise(instance: PluginInstance, run: () => Promise<void>): Promise<void> {
  const result = instance.busy.then(run);
  instance.busy = result.catch(() => undefined);
  await result;
}

function assertRuns(instance: PluginInstance): void {
  if (!instance.running) throw instance.cause ?? new VdcError("FAILED_PRECONDITION", instance.reason);
}
