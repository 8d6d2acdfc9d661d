import type { SwitchStatus } from "@vdc-os/core/network/v1";
import type { SwitchFabric } from "./switch-fabric.ts";

/** Whether a host of the world answers; one that the world does not know counts as well. */
export type IsHostUp = (host: string) => boolean;

/** A switch as it is. */
export function statusOf(fabric: SwitchFabric, isHostUp: IsHostUp): SwitchStatus {
  const { spec, generation } = fabric.record;
  return {
    switchId: spec.switchId,
    desiredGeneration: generation,
    members: spec.members.map(({ host }) => {
      const up = isHostUp(host);
      return {
        host,
        state: up ? "up" : "disconnected",
        realizedGeneration: generation,
        detail: up ? "" : "the simulated host was made to fail",
      };
    }),
    ports: fabric.connected.map((port) => {
      const problem = fabric.problemOf(port);
      return {
        portKey: port.portKey,
        portGroup: port.request.portGroup,
        host: port.request.host,
        generation: port.newest,
        link: problem === undefined && port.plug.plugged && isHostUp(port.request.host) ? "up" : "down",
        gate: port.gate,
        learnedMacs: [...port.learnedMacs],
        ...(problem === undefined ? {} : { problem }),
        ...(port.request.opaque === undefined ? {} : { opaque: port.request.opaque }),
      };
    }),
  };
}
