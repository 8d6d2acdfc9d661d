import { objectName } from "@vdc-os/core";
import { z } from "zod";

/** Config of the simulator as a plugin. */
export interface SimulatorConfig {
  /** Under which name the world's storage, network, cloud and stores are provided. Defaults to `simulated`. */
  readonly name: string;
  /** The same seed and the same calls give the same world. Defaults to 1. */
  readonly seed?: number | undefined;
  /** How long each call takes: one number, or by operation (`vdc.storage.createVolume`, `vdc.storage` or `*`). Defaults to 0. */
  readonly latencyMs?: number | Readonly<Record<string, number>> | undefined;
}

/** Schema of {@link SimulatorConfig}. */
export const simulatorConfig: z.ZodType<SimulatorConfig> = z.preprocess(
  (config) => config ?? {},
  z.object({
    name: objectName.default("simulated"),
    seed: z.int().optional(),
    latencyMs: z.union([z.number().nonnegative(), z.record(z.string(), z.number().nonnegative())]).optional(),
  }),
);
