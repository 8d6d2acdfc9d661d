import type { Clock, Random } from "@vdc-os/core";
import type { PortAttachment } from "@vdc-os/core/network/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import type { SimulatedProgram } from "../host/simulated-program.ts";
import type { SimulatedNic } from "../network/simulated-nic.ts";
import type { SimulatedBlockDevice } from "../storage/simulated-block-device.ts";

/** What the parts of a world have of each other. */
export interface WorldServices {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  /** What simulated hosts have to run. `undefined` where they have whatever they are asked for, and it does nothing. */
  readonly programs: Readonly<Record<string, SimulatedProgram>> | undefined;
  /** A new id, never used before in this world: `sim-volume-3`. */
  nextId(kind: string): string;
  /** The data path of an attached volume. `NOT_FOUND` when the transport is not of this world. */
  openTransport(transport: VolumeTransport): SimulatedBlockDevice;
  /** The VM's end of a connected port. `NOT_FOUND` when the attachment is not of this world. */
  openNic(attachment: PortAttachment): SimulatedNic;
}

/** The name and version that everything of the simulator reports. */
export const simulatorName = "@vdc-os/plugin-simulator";

/** See {@link simulatorName}. */
export const simulatorVersion = "0.1.0";
