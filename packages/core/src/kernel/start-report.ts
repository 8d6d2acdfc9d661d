import type { VdcError } from "../error/vdc-error.ts";
import { VdcError as VdcErrorClass } from "../error/vdc-error.ts";
import type { PluginState } from "../plugin/plugin-state.ts";
import type { PluginInstance } from "./plugin-instance.ts";
import type { FailurePolicy } from "./plugin-registration.ts";
import type { ReleaseReport } from "./release.ts";

/** How the start of one plugin went. */
export interface PluginReport {
  readonly id: string;
  readonly package: string;
  readonly version: string;
  readonly policy: FailurePolicy;
  readonly state: PluginState;
  /** Why it is in this state, for people. */
  readonly reason: string;
  /** What a `blocked` plugin waits for. */
  readonly waitsFor: readonly string[];
  /** How long each phase took, in milliseconds. 0 for one that was not reached. */
  readonly phases: { readonly config: number; readonly start: number };
  /** Why it failed. */
  readonly cause: VdcError | undefined;
  /** How the release of what it had acquired went, when its start failed. */
  readonly release: ReleaseReport | undefined;
  /** Plugins that it was started after. */
  readonly dependsOn: readonly string[];
}

/** How a start went: the same object whether it succeeded or failed. */
export class StartReport {
  /** Whether the kernel runs. */
  readonly ok: boolean;
  readonly durationMs: number;
  /** Every plugin: those of the plan in its order, then those that it rejected. */
  readonly plugins: readonly PluginReport[];

  constructor(options: {
    readonly ok: boolean;
    readonly durationMs: number;
    readonly plugins: readonly PluginReport[];
  }) {
    this.ok = options.ok;
    this.durationMs = options.durationMs;
    this.plugins = options.plugins;
  }

  /** The report as a tree, for people. */
  toString(): string {
    return formatStartReport(this);
  }
}

const noDependencies: readonly never[] = Object.freeze([]);

/** Reports on every plugin as it is now: those of the plan in its order, then the others. */
export function reportPlugins(
  order: readonly PluginInstance[],
  all: readonly PluginInstance[],
): readonly PluginReport[] {
  const reports = order.map(reportPlugin);
  if (reports.length < all.length) {
    const planned = new Set(order);
    for (const instance of all) if (!planned.has(instance)) reports.push(reportPlugin(instance));
  }
  return reports;
}

function reportPlugin(instance: PluginInstance): PluginReport {
  const { registration, planned } = instance;
  const { manifest } = registration.plugin;
  return {
    id: registration.id,
    // A value that is no plugin has no manifest either, and is still reported.
    package: manifest?.name ?? "unknown",
    version: manifest?.version ?? "unknown",
    policy: registration.policy,
    state: instance.state,
    reason: instance.reason,
    waitsFor: instance.waitsFor,
    phases: { config: instance.configMs, start: instance.startMs },
    cause: instance.cause,
    release: instance.release,
    dependsOn:
      planned === undefined || planned.requires.length + planned.follows.length === 0
        ? noDependencies
        : [...new Set([...planned.requires, ...planned.follows])],
  };
}

/**
 * Writes a start report as a tree: each plugin under the last of those that it waited for, with its state, its times, and why it is
 * not ready.
 *
 * ```text
 * started in 41.2 ms: 2 ready, 1 failed
 * ├─ state-store  ready  12.0 ms
 * │  └─ inventory  ready  3.1 ms
 * └─ cloud (quarantine)  failed after 25.9 ms: the setup of plugin 'cloud' ...
 * ```
 */
export function formatStartReport(report: StartReport): string {
  const counts = new Map<string, number>();
  for (const { state } of report.plugins) counts.set(state, (counts.get(state) ?? 0) + 1);
  const summary = [...counts].map(([state, count]) => `${count} ${state}`).join(", ") || "no plugins";
  const lines = [`${report.ok ? "started" : "not started"} in ${formatMs(report.durationMs)}: ${summary}`];
  const parents = new Map(report.plugins.map((plugin) => [plugin, parentOf(plugin, report)]));
  const children = Map.groupBy(report.plugins, (plugin) => parents.get(plugin));
  const write = (parent: PluginReport | undefined, indent: string): void => {
    const list = children.get(parent) ?? [];
    for (const [index, plugin] of list.entries()) {
      const last = index === list.length - 1;
      const [first, ...rest] = describePlugin(plugin);
      const under = `${indent}${last ? "   " : "│  "}`;
      lines.push(`${indent}${last ? "└─" : "├─"} ${first}`);
      for (const line of rest) lines.push(`${under}${children.has(plugin) ? "│ " : "  "} ${line}`);
      write(plugin, under);
    }
  };
  write(undefined, "");
  return lines.join("\n");
}

/** The dependency that the report comes to last: it stands under that one. A cycle's members depend on none in the plan. */
function parentOf(plugin: PluginReport, report: StartReport): PluginReport | undefined {
  if (plugin.dependsOn.length === 0) return undefined;
  const wanted = new Set(plugin.dependsOn);
  const at = report.plugins.indexOf(plugin);
  return report.plugins.findLast((other, index) => index < at && wanted.has(other.id));
}

function describePlugin(plugin: PluginReport): readonly string[] {
  const { phases, state, policy } = plugin;
  const policyText = policy === "required" ? "" : ` (${policy})`;
  const total = phases.config + phases.start;
  const slowConfig = phases.config >= 1 ? ` (config ${formatMs(phases.config)})` : "";
  const lines = [`${plugin.id}${policyText}  ${state}${total > 0 ? `  ${formatMs(total)}${slowConfig}` : ""}`];
  if (state === "ready") return lines;
  const cause = plugin.cause === undefined ? "" : `${plugin.cause.code} `;
  for (const [index, line] of plugin.reason.split("\n").entries()) lines.push(index === 0 ? `${cause}${line}` : line);
  if (plugin.waitsFor.length > 0) lines.push(`waits for ${plugin.waitsFor.join(", ")}`);
  for (const { label, error } of plugin.release?.errors ?? []) lines.push(`not released: ${label}: ${error.message}`);
  return lines;
}

/** A duration for people. */
export function formatMs(ms: number): string {
  return ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

/** What `kernel.start` rejects with: it carries the report. Test for `reason` `VDC_KERNEL_START_FAILED`. */
export class StartError extends VdcErrorClass {
  readonly report: StartReport;

  constructor(report: StartReport, cause: unknown) {
    const failed = report.plugins.filter((plugin) => plugin.policy === "required" && isInTheWay(plugin));
    const names = failed.map(({ id }) => id).join("', '");
    super(
      "FAILED_PRECONDITION",
      failed.length === 0 ? "the kernel did not start" : `the kernel did not start because of '${names}':\n${report}`,
      {
        reason: "VDC_KERNEL_START_FAILED",
        cause,
        blockers: failed.map(({ id }) => ({ kind: "plugin", name: id })),
      },
    );
    this.report = report;
  }
}

function isInTheWay({ state }: PluginReport): boolean {
  return state === "failed" || state === "blocked";
}
