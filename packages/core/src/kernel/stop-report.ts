import type { ReleaseReport } from "./release.ts";
import { formatMs } from "./start-report.ts";

/** How the stop of one plugin went. */
export interface PluginStopReport extends ReleaseReport {
  readonly id: string;
}

/** How a stop went. A stop never fails: what could not be released is named here. */
export class StopReport {
  /** Whether everything was released without an error. */
  readonly ok: boolean;
  readonly durationMs: number;
  /** Every plugin that was running, in the order in which they had stopped. */
  readonly plugins: readonly PluginStopReport[];

  constructor(options: { readonly durationMs: number; readonly plugins: readonly PluginStopReport[] }) {
    this.durationMs = options.durationMs;
    this.plugins = options.plugins;
    this.ok = options.plugins.every(({ errors }) => errors.length === 0);
  }

  /** The report for people. */
  toString(): string {
    const lines = [`stopped ${this.plugins.length} plugins in ${formatMs(this.durationMs)}`];
    for (const { id, durationMs, slow, errors } of this.plugins) {
      lines.push(`  ${id}  ${formatMs(durationMs)}`);
      for (const label of slow) lines.push(`    slow: ${label.label}  ${formatMs(label.durationMs)}`);
      for (const { label, error } of errors) lines.push(`    not released: ${label}: ${error.message}`);
    }
    return lines.join("\n");
  }
}
