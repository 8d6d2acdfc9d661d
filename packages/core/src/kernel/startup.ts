import { VdcError } from "../error/vdc-error.ts";
import type { KernelServices } from "./kernel-services.ts";
import type { PlannedPlugin } from "./plan.ts";
import { type PluginInstance, publish } from "./plugin-instance.ts";
import type { PluginScope } from "./plugin-scope.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import { PluginStart, type PluginStartOptions } from "./plugin-start.ts";

/** Options of {@link Startup}. */
export interface StartupOptions {
  /** What to start, each after what it depends on. What it depends on and is not here must have been started before. */
  readonly order: readonly PluginInstance[];
  /** Finds what a plugin requires, whether it is started here or was before. */
  readonly find: (id: string) => PluginInstance | undefined;
  readonly services: KernelServices;
  /** A plugin that the kernel cannot do without has failed, or is blocked by one that has. */
  readonly onRequiredFailed: (error: VdcError) => void;
}

/** A plugin of this start. It is also what its {@link PluginStart} is made of: another object for each would be felt. */
class Node implements PluginStartOptions {
  readonly instance: PluginInstance;
  readonly services: KernelServices;
  /** What it is registered as when it is launched. */
  registration: PluginRegistration;
  /** How many of those that it comes after have not been settled. */
  open = 0;
  dependents: Node[] | undefined;
  start: PluginStart | undefined;
  readonly #startup: NodeOwner;

  constructor(instance: PluginInstance, services: KernelServices, startup: NodeOwner) {
    this.instance = instance;
    this.registration = instance.registration;
    this.services = services;
    this.#startup = startup;
  }

  onSettled(start: PluginStart): void {
    this.#startup.started(this, start);
  }
}

/** Who is told when a plugin of a start is up, or is not. */
interface NodeOwner {
  started(node: Node, start: PluginStart): void;
}

/** How many plugins are launched in one turn. */
const batchSize = 256;

/** Starts plugins: each as soon as everything before it is settled, so that independent ones run side by side. */
export class Startup implements NodeOwner {
  /** Resolves when every plugin is ready, failed or blocked. Never rejects. */
  readonly done: Promise<void>;
  readonly #options: StartupOptions;
  readonly #nodes: Node[] = [];
  readonly #queue: Node[] = [];
  #remaining: number;
  /** Where the queue has been launched up to. */
  #next = 0;
  #pumping = false;
  #cancelled: VdcError | undefined;
  #resolve: () => void = () => undefined;

  constructor(options: StartupOptions) {
    this.#options = options;
    this.#remaining = options.order.length;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Why it was given up. `undefined` when it was not. */
  get cancelled(): VdcError | undefined {
    return this.#cancelled;
  }

  /** Begins. */
  run(): this {
    this.#link();
    if (this.#remaining === 0) this.#finish();
    else this.#pump();
    return this;
  }

  /** Gives up: what is starting fails with the error, what has not begun stays as it is. */
  cancel(error: VdcError): void {
    if (this.#cancelled !== undefined) return;
    this.#cancelled = error;
    for (const { start } of this.#nodes) start?.cancel(error);
    this.#pump();
  }

  #link(): void {
    const { order, services } = this.#options;
    let byId: Map<string, Node> | undefined;
    for (const instance of order) {
      const node = new Node(instance, services, this);
      this.#nodes.push(node);
      const { id, requires, follows } = instance.planned as PlannedPlugin;
      if (requires.length + follows.length > 0) {
        // The order is topological: whatever it depends on is here already.
        byId ??= new Map(this.#nodes.map((other) => [other.instance.id, other]));
        for (const other of requires) open(node, byId.get(other));
        for (const other of follows) open(node, byId.get(other));
      }
      byId?.set(id, node);
      if (node.open === 0) this.#queue.push(node);
    }
  }

  /**
   * Launches whatever is free. A plugin that is ready at once frees others: they join the queue, so that no chain fills the stack.
   *
   * Many are launched in batches, with the turn of those whose setup has ended in between: what their starts needed is then garbage
   * before the next are made, and the collector has little to move.
   */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    let now = this.#options.services.clock.monotonic();
    const end = this.#next + batchSize;
    for (; this.#next < this.#queue.length; this.#next++) {
      if (this.#next === end) {
        queueMicrotask(this.#pumpOn);
        return;
      }
      now = this.#launch(this.#queue[this.#next] as Node, now);
    }
    this.#queue.length = 0;
    this.#next = 0;
    this.#pumping = false;
  }

  readonly #pumpOn = (): void => {
    this.#pumping = false;
    this.#pump();
  };

  #launch(node: Node, now: number): number {
    const { instance } = node;
    if (this.#cancelled !== undefined) {
      this.#settle(node);
      return now;
    }
    const missing = this.#missing(instance);
    if (missing.length > 0) {
      const { find } = this.#options;
      const reasons = missing.map((id) => `'${id}', which is ${find(id)?.state ?? "not there"}`);
      instance.moveTo("blocked", `requires plugin ${reasons.join(", and ")}`, missing);
      this.#failed(node, new VdcError("FAILED_PRECONDITION", `plugin '${instance.id}' is blocked: ${instance.reason}`));
      return now;
    }
    instance.cause = undefined;
    instance.moveTo("starting", "it is its turn");
    node.registration = instance.registration;
    node.start = new PluginStart(node);
    return node.start.run(now);
  }

  /** The required plugins that do not run. */
  #missing({ planned }: PluginInstance): readonly string[] {
    const { requires } = planned as PlannedPlugin;
    return requires.length === 0 ? requires : requires.filter((id) => this.#options.find(id)?.running !== true);
  }

  started(node: Node, start: PluginStart): void {
    const { instance } = node;
    node.start = undefined;
    adoptTimes(instance, start);
    if (start.scope === undefined) {
      instance.fail(start.error as VdcError);
      this.#failed(node, start.error as VdcError);
      return;
    }
    adopt(instance, start.scope, this.#options.services);
    this.#settle(node);
  }

  #failed(node: Node, error: VdcError): void {
    if (node.instance.registration.policy === "required" && this.#cancelled === undefined) {
      this.#options.onRequiredFailed(error);
    }
    this.#settle(node);
  }

  #settle(node: Node): void {
    this.#remaining--;
    for (const dependent of node.dependents ?? []) {
      dependent.open--;
      if (dependent.open === 0) this.#queue.push(dependent);
    }
    if (this.#remaining === 0) this.#finish();
    else if (this.#queue.length > 0) this.#pump();
  }

  #finish(): void {
    this.#options.services.watch.rest();
    this.#resolve();
  }
}

function open(node: Node, dependency: Node | undefined): void {
  if (dependency === undefined) return;
  node.open++;
  dependency.dependents ??= [];
  dependency.dependents.push(node);
}

/** Takes over the times of a start. */
export function adoptTimes(instance: PluginInstance, start: PluginStart): void {
  instance.configMs = start.configMs;
  instance.startMs = start.startMs;
  instance.release = start.release;
}

/** Makes a plugin that is up reachable. */
export function adopt(instance: PluginInstance, scope: PluginScope, services: KernelServices): void {
  instance.scope = scope;
  publish(scope, services);
  if (scope.degradation === undefined) instance.moveTo("ready", "its setup has finished");
  else instance.moveTo("degraded", scope.degradation);
}

/** What a running plugin says of its health becomes its state. */
export function noteDegradation(instance: PluginInstance, scope: PluginScope, reason: string | undefined): void {
  if (instance.scope !== scope || !instance.running) return;
  if (reason !== undefined) instance.moveTo("degraded", reason);
  else if (instance.state === "degraded") instance.moveTo("ready", "it says that it is well again");
}
