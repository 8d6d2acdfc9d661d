import type { DataPlaneStatus, DataPlaneSwitchStatus } from "../dataplane/data-plane-status.ts";
import { attachmentKey, type HostConfig, type HostSwitchPart } from "./host-config.ts";
import type { ProcessPortStatus, ProcessStatus } from "./process-protocol.ts";

/** How many stations behind a VM the status shows. */
const learnedShown = 64;

/** What a process's status is made of. */
export interface StatusSources {
  /** The configuration in force. */
  readonly config: HostConfig | undefined;
  readonly plane: DataPlaneStatus;
  /** Addresses that were learned at an attachment. */
  readonly learned: (key: string) => readonly string[];
  /** What a switch's part asks for and this host can't do. */
  readonly findings: (switchKey: string) => readonly string[];
  /** Why a VM's tap couldn't be made. */
  readonly tapFailure: (tap: string) => string | undefined;
}

/** The process as it is, but for its instance and version. */
export function statusOfProcess(sources: StatusSources): Omit<ProcessStatus, "instance" | "version"> {
  const { config, plane } = sources;
  const planes = new Map(plane.switches.map((each) => [each.key, each]));
  const switches = config?.switches ?? [];
  return {
    generation: config?.generation ?? 0,
    ...(plane.vtep === undefined ? {} : { vtep: plane.vtep.listen }),
    switches: switches.map((part) => {
      const uplinks = planes.get(part.key)?.uplinks ?? [];
      const taps = part.ports.flatMap(({ tap }) => (tap === undefined ? [] : (sources.tapFailure(tap) ?? [])));
      // Of thousands of ports that all lack the same right, one tells it.
      const findings = [...uplinkFindings(part, uplinks), ...sources.findings(part.key), ...taps.slice(0, 1)];
      return {
        key: part.key,
        specGeneration: part.specGeneration,
        uplinks: uplinks.map(({ uplink, link, reason }) => ({
          uplink,
          link,
          ...(reason === undefined ? {} : { reason }),
        })),
        ...(findings.length === 0 ? {} : { findings }),
      };
    }),
    ports: portStatuses(switches, sources),
  };
}

/** Interfaces that can't be uplinks, or have no carrier. (Of streams, where a far end comes and goes as it pleases, the uplinks themselves tell.) */
function uplinkFindings({ uplinks }: HostSwitchPart, now: DataPlaneSwitchStatus["uplinks"]): readonly string[] {
  const interfaces = new Set(uplinks.flatMap(({ name, backing }) => (backing.kind === "interface" ? [name] : [])));
  return now
    .filter(({ uplink, link }) => link === "down" && interfaces.has(uplink))
    .map(({ uplink, reason }) => `uplink '${uplink}' has no link${reason === undefined ? "" : `: ${reason}`}`);
}

function portStatuses(
  switches: readonly HostSwitchPart[],
  { plane, learned }: StatusSources,
): readonly ProcessPortStatus[] {
  const byKey = new Map(plane.ports.map((port) => [port.key, port]));
  return switches.flatMap(({ ports }) =>
    ports.flatMap((port) => {
      const key = attachmentKey(port);
      const now = byKey.get(key);
      if (now === undefined) return [];
      const { id, attachment, generation, settings } = port;
      const { link, reason, gate, held, looped } = now;
      const macs = settings.macLearning?.enabled === true ? learned(key) : undefined;
      return [
        {
          ...{ id, attachment, generation, link, gate, held },
          ...(reason === undefined ? {} : { reason }),
          ...(looped === true ? { looped } : {}),
          ...(macs === undefined ? {} : { learned: [...new Set(macs)].sort().slice(0, learnedShown) }),
        },
      ];
    }),
  );
}
