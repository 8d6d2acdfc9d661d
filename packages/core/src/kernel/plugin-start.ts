import { attributeError, VdcError } from "../error/vdc-error.ts";
import type { Watched } from "./deadline-watch.ts";
import type { KernelServices } from "./kernel-services.ts";
import { phaseTimeout } from "./plugin-instance.ts";
import type { PluginRegistration } from "./plugin-registration.ts";
import { PluginScope } from "./plugin-scope.ts";
import type { ReleaseReport } from "./release.ts";

/** Options of {@link PluginStart}. */
export interface PluginStartOptions {
  readonly registration: PluginRegistration;
  readonly services: KernelServices;
  /** Runs between the config check and `setup`: when a plugin is exchanged, its predecessor is stopped here. Bounds its own time. */
  readonly beforeSetup?: () => Promise<void>;
  /** Called once: with a scope when the plugin is up; without one when it is not, after what it had acquired was released. */
  readonly onSettled: (start: PluginStart) => void;
}

/**
 * Brings one plugin up: asks the kernel's policy, checks its config, then runs its `setup`, each within its deadline. Written with
 * callbacks: an async function for each of ten thousand plugins costs more than most of their setups.
 */
export class PluginStart implements Watched {
  deadline = 0;
  settled = true;
  scope: PluginScope | undefined;
  error: VdcError | undefined;
  release: ReleaseReport | undefined;
  configMs = 0;
  startMs = 0;
  readonly #options: PluginStartOptions;
  #phase: "policy" | "config" | "start" | "over" = "policy";
  #began = 0;

  constructor(options: PluginStartOptions) {
    this.#options = options;
  }

  /** Begins. `now` is the clock's monotonic time, read by the caller. Returns the time at which this call returns. */
  run(now: number): number {
    this.#began = now;
    const permission = this.#options.services.policy.ask(this.#options.registration.plugin);
    if (permission === undefined) return this.#checkConfig(now);
    this.#watch(this.#options.registration.deadlines.start);
    permission.then(
      () => this.#phase === "policy" && this.#permitted(),
      (error: unknown) => this.#phase === "policy" && this.#fail(error),
    );
    return this.#now();
  }

  #permitted(): void {
    this.#options.services.watch.settle(this);
    this.#began = this.#now();
    this.#checkConfig(this.#began);
  }

  #checkConfig(now: number): number {
    this.#phase = "config";
    const { plugin, config } = this.#options.registration;
    const schema = plugin.manifest.config;
    if (schema === undefined) {
      if (config !== undefined) this.#configInvalid([{ message: "the plugin takes no config" }]);
      else if (this.#options.beforeSetup !== undefined) this.#setupAfter(this.#options.beforeSetup, undefined);
      else return this.#setup(undefined, now);
      return this.#now();
    }
    try {
      const result = schema["~standard"].validate(config ?? {});
      if (result instanceof Promise) {
        this.#watch(this.#options.registration.deadlines.config);
        result.then(
          (settled) => this.#phase === "config" && this.#configured(settled),
          (error: unknown) => this.#phase === "config" && this.#fail(error),
        );
      } else {
        this.#configured(result);
      }
    } catch (error) {
      this.#fail(error);
    }
    return this.#now();
  }

  /** Gives up, from outside: the kernel is told to stop. */
  cancel(error: VdcError): void {
    if (this.#phase !== "over") this.#fail(error);
  }

  /** For the watch: the deadline of the phase has passed. */
  expire(): void {
    if (this.#phase === "over") return;
    const { id, deadlines } = this.#options.registration;
    const phase = this.#phase === "config" ? "config" : "start";
    this.#fail(phaseTimeout(id, phase, deadlines[phase]));
  }

  #now(): number {
    return this.#options.services.clock.monotonic();
  }

  #watch(timeoutMs: number): void {
    this.deadline = this.#began + timeoutMs;
    this.settled = false;
    this.#options.services.watch.add(this);
  }

  #configured(result: ConfigResult): void {
    this.#options.services.watch.settle(this);
    if ("issues" in result && result.issues !== undefined) {
      this.#configInvalid(result.issues);
      return;
    }
    const now = this.#now();
    this.configMs = now - this.#began;
    const config = (result as { readonly value: unknown }).value;
    const { beforeSetup } = this.#options;
    if (beforeSetup === undefined) this.#setup(config, now);
    else this.#setupAfter(beforeSetup, config);
  }

  #setupAfter(beforeSetup: () => Promise<void>, config: unknown): void {
    this.#phase = "start";
    this.#began = this.#now();
    beforeSetup().then(
      () => this.#phase === "start" && this.#setup(config, this.#now()),
      (error: unknown) => this.#phase === "start" && this.#fail(error),
    );
  }

  #configInvalid(issues: readonly ConfigIssue[]): void {
    const { id } = this.#options.registration;
    const text = issues.map(({ path, message }) => `'${pathText(path)}': ${message}`).join("; ");
    this.#fail(
      new VdcError("INVALID_ARGUMENT", `the config of plugin '${id}' is wrong: ${text}`, {
        reason: "VDC_PLUGIN_CONFIG_INVALID",
        plugin: id,
        details: { issues: issues.map(({ path, message }) => ({ path: pathText(path), message })) },
      }),
    );
  }

  #setup(config: unknown, now: number): number {
    const { registration, services } = this.#options;
    this.#phase = "start";
    this.#began = now;
    const scope = new PluginScope(registration, services);
    this.scope = scope;
    let result: void | Promise<void>;
    try {
      result = registration.plugin.setup(scope, config);
    } catch (error) {
      this.#fail(error);
      return this.#now();
    }
    const returned = this.#now();
    if (typeof result?.then === "function") {
      this.#watch(registration.deadlines.start);
      result.then(
        () => this.#phase === "start" && this.#finish(this.#options.services.turn.now()),
        (error: unknown) => this.#phase === "start" && this.#fail(error),
      );
    } else {
      this.#finish(returned);
    }
    return returned;
  }

  #finish(now: number): void {
    const missing = (this.scope as PluginScope).missingProvisions();
    if (missing.length > 0) {
      const { id } = this.#options.registration;
      this.#fail(
        new VdcError("INTERNAL", `plugin '${id}' declares ${missing.join(", ")} and its setup did not provide it`, {
          reason: "VDC_PROVISION_MISSING",
          plugin: id,
        }),
      );
      return;
    }
    this.#phase = "over";
    this.startMs = now - this.#began;
    this.#options.services.watch.settle(this);
    this.#options.onSettled(this);
  }

  #fail(cause: unknown): void {
    const error = attributeError(cause, this.#options.registration.id);
    const elapsed = this.#now() - this.#began;
    if (this.#phase === "config") this.configMs = elapsed;
    else if (this.#phase === "start") this.startMs = elapsed;
    this.#phase = "over";
    this.error = error;
    this.#options.services.watch.settle(this);
    const { scope } = this;
    this.scope = undefined;
    if (scope === undefined) {
      this.#options.onSettled(this);
      return;
    }
    scope.close(error).then((release) => {
      this.release = release;
      this.#options.onSettled(this);
    });
  }
}

interface ConfigIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A Standard Schema result: the one thing the kernel needs to know of a schema library. */
type ConfigResult = { readonly value: unknown } | { readonly issues?: readonly ConfigIssue[] | undefined };

function pathText(path: ConfigIssue["path"]): string {
  return ["config", ...(path ?? [])].map((part) => String(typeof part === "object" ? part.key : part)).join(".");
}
