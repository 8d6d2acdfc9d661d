import type { Arguments } from "./arguments.ts";
import type { Progress } from "./progress.ts";

/** Options of {@link runSimulated}. */
export interface SimulatedOptions {
  /** Why there are no real virtual machines. */
  readonly why: string;
  readonly asked: Arguments;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export async function runSimulated({ why, progress }: SimulatedOptions): Promise<void> {
  progress.say(`VDC-OS: a SIMULATED virtual datacenter: ${why}.\n`);
}
