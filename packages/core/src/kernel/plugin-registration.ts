import type { Plugin } from "../plugin/define-plugin.ts";

/**
 * What happens to the kernel when a plugin fails.
 *
 * - `required`: the kernel does not run without it: `start` stops everything again, and rejects;
 * - `optional`: the kernel runs without it;
 * - `quarantine`: the kernel runs without it; the plugin is set aside with its cause until somebody says `kernel.retry(id)`, and what
 *   requires it waits in `blocked` and starts with it.
 */
export type FailurePolicy = "required" | "optional" | "quarantine";

/** How long each phase of a plugin may take, in milliseconds. */
export interface PhaseDeadlines {
  /** Checking the config. Defaults to `2_000`. */
  readonly config: number;
  /** `setup`. Defaults to `30_000`. */
  readonly start: number;
  /** Waiting for the calls in flight before a provider is exchanged or stopped. Defaults to `2_000`. */
  readonly drain: number;
  /** Releasing everything. Defaults to `5_000`. */
  readonly stop: number;
}

/** The deadlines of a plugin that says nothing else. */
export const defaultDeadlines: PhaseDeadlines = Object.freeze({
  config: 2_000,
  start: 30_000,
  drain: 2_000,
  stop: 5_000,
});

/** A plugin as a kernel runs it: an instance, since one plugin may be there several times with different configs. */
export interface PluginRegistration {
  /** Unique in the kernel. */
  readonly id: string;
  readonly plugin: Plugin;
  readonly config: unknown;
  readonly policy: FailurePolicy;
  readonly deadlines: PhaseDeadlines;
}

/** Options of {@link use}. */
export interface UseOptions {
  /** Defaults to the plugin's package name. Needed for a second instance of a plugin. */
  readonly id?: string;
  /** Checked against the plugin's schema when it starts. */
  readonly config?: unknown;
  /** Defaults to `required`. */
  readonly policy?: FailurePolicy;
  /** Defaults to {@link defaultDeadlines}. */
  readonly deadlines?: Partial<PhaseDeadlines>;
}

/**
 * Says that a kernel uses a plugin, and how.
 *
 * @example
 * ```ts
 * new Kernel({ plugins: [use(thinProvisioning, { id: "fast", config: { path: "/srv/fast" }, policy: "quarantine" })] });
 * ```
 */
export function use(plugin: Plugin, options: UseOptions = {}): PluginRegistration {
  return {
    // What is not a plugin at all has no manifest: the plan says so.
    id: options.id ?? plugin.manifest?.name ?? "unknown",
    plugin,
    config: options.config,
    policy: options.policy ?? "required",
    deadlines: options.deadlines === undefined ? defaultDeadlines : { ...defaultDeadlines, ...options.deadlines },
  };
}
