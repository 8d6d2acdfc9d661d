import type { Contract } from "@vdc-os/core";
import { StopReport } from "@vdc-os/core/kernel";
import { LeakCheck } from "@vdc-os/core/testing";
import type { RequirementResult } from "../suite/report.ts";
import type { Instance, Requirement, Suite } from "../suite/suite.ts";
import type { Transport } from "../suite/transport.ts";

/** What is asked of every implementation, and is known only when its suite is over. */
export function leakRequirement(suite: string): Pick<Requirement<Contract>, "id" | "title" | "clause" | "level"> {
  return {
    id: `${suite}.leaves-nothing`,
    title: "no socket, child process, timer or watched file is left when every instance was disposed of",
    clause: "PluginContext: when the plugin stops, everything that it acquired is released",
    level: "core",
  };
}

/** Watches what a whole suite leaves behind in the process: sockets, child processes, timers, watched files. */
export class LeakRequirement {
  readonly #check = new LeakCheck();
  readonly #startedAt: number = performance.now();

  /** The result of the requirement that nothing is left. */
  async result<T extends Contract>(suite: Suite<T, Instance<T>>, transport: Transport): Promise<RequirementResult> {
    let message: string | undefined;
    try {
      await this.#check.assertNoLeak(new StopReport({ durationMs: 0, plugins: [] }));
    } catch (error) {
      message = `${(error as Error).message}: what an instance acquires must be released when it is disposed of`;
    }
    return {
      ...leakRequirement(suite.name),
      transport,
      facet: undefined,
      status: message === undefined ? "pass" : "fail",
      durationMs: Math.round(performance.now() - this.#startedAt),
      message,
    };
  }
}
