import { VdcError } from "../error/vdc-error.ts";
import type { StopReport } from "../kernel/stop-report.ts";

/** Kinds of resource that a plugin can leave behind and Node can count. Others come and go with the test runner. */
const counted: readonly RegExp[] = [/^Timeout$/, /TCP/, /Pipe/, /UDP/, /^ProcessWrap$/, /FSEvent/, /^StatWatcher$/];

/** How long a closed handle may take to go away, in milliseconds. */
const settleMs = 500;

/** Remembers which resources the process holds, and names those that have come to stay. */
export class LeakCheck {
  readonly #before = countResources();

  /** Rejects with `INTERNAL` when plugins left something: a disposer that failed or hung, or a handle or timer that is still active. */
  async assertNoLeak(report: StopReport): Promise<void> {
    const leaks = report.plugins.flatMap(({ id, errors }) =>
      errors.map(({ label, error }) => `plugin '${id}' did not release '${label}': ${error.message}`),
    );
    leaks.push(...(await this.#newResources()));
    if (leaks.length > 0) throw new VdcError("INTERNAL", leaks.join("\n"), { reason: "VDC_TEST_LEAK" });
  }

  async #newResources(): Promise<readonly string[]> {
    const until = performance.now() + settleMs;
    for (;;) {
      const after = countResources();
      const more = [...after].filter(([kind, count]) => count > (this.#before.get(kind) ?? 0));
      if (more.length === 0) return [];
      if (performance.now() >= until) {
        return more.map(
          ([kind, count]) => `${count - (this.#before.get(kind) ?? 0)} more active '${kind}' than before`,
        );
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function countResources(): ReadonlyMap<string, number> {
  // Node.js opens these when they are first looked at: a first line to a pipe is no plugin's handle.
  void [process.stdout, process.stderr];
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (counted.some((pattern) => pattern.test(kind))) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}
