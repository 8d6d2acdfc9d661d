import type { Clock } from "../context/clock.ts";
import type { Logger } from "../context/logger.ts";
import type { Random } from "../context/operation-context.ts";
import type { ContractAdapter } from "../extension-point/contract-adapter.ts";
import type { FailurePolicy, PhaseDeadlines, PluginRegistration } from "./plugin-registration.ts";
import type { KernelPolicy } from "./plugin-policy.ts";
import type { Validation } from "./provider.ts";

/** Options of `Kernel`. */
export interface KernelOptions {
  /** What it runs: see `use`. Defaults to none. */
  readonly plugins?: readonly PluginRegistration[];
  /** What is checked at the boundary of a contract. Defaults to `inputs`. */
  readonly validation?: Validation;
  /** Adapters between majors of one contract. Defaults to none. */
  readonly adapters?: readonly ContractAdapter[];
  /** Which plugins are started at all. Defaults to all. */
  readonly policy?: KernelPolicy;
  /** Defaults to silence. */
  readonly logger?: Logger;
  /** Defaults to the machine's. */
  readonly clock?: Clock;
  /** Defaults to the machine's. */
  readonly random?: Random;
}

/** Options of `kernel.reconfigure`. */
export interface ReconfigureOptions {
  /**
   * Whether the new generation is set up beside the old one, which then serves until the new one is ready. Defaults to false: the old
   * one is stopped first, and calls wait.
   */
  readonly overlap?: boolean;
}

/** Options of `kernel.replace`. */
export interface ReplaceOptions extends ReconfigureOptions {
  /** Defaults to the present config. */
  readonly config?: unknown;
  /** Defaults to the present policy. */
  readonly policy?: FailurePolicy;
  /** Defaults to the present deadlines. */
  readonly deadlines?: Partial<PhaseDeadlines>;
}
