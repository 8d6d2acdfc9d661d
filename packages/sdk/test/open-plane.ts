import { type Clock, systemClock } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import { type ControlPlane, type ControlPlaneOptions, createControlPlane } from "../src/controller/control-plane.ts";
import { disk } from "./disk-kind.ts";
import { type MemoryConnection, MemoryState } from "./memory-state-store.ts";

/** A control plane over a state store in memory. */
export interface OpenPlane {
  readonly plane: ControlPlane;
  readonly state: MemoryState;
  readonly connection: MemoryConnection;
}

/** Makes a control plane for the kind `Disk`; it is not started. */
export function openPlane(
  options: Partial<ControlPlaneOptions> & {
    readonly memory?: MemoryState;
    readonly connection?: MemoryConnection;
    readonly seed?: number;
  } = {},
): OpenPlane {
  const {
    memory = new MemoryState(),
    connection = memory.connect(),
    seed = 1,
    clock = systemClock as Clock,
    ...rest
  } = options;
  const plane = createControlPlane({
    state: connection,
    datacenter: "dc-1",
    kinds: [disk],
    clock,
    random: createTestRandom(seed),
    ...rest,
  });
  return { plane, state: memory, connection };
}
