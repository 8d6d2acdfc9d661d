import type { Json } from "@vdc-os/core";
import type {
  CapturedFrame,
  CaptureFacet,
  DiscoveryFacet,
  EffectiveSettingFacet,
  HealthCheckFacet,
  HealthCheckKind,
  HealthFinding,
  SwitchSpec,
  TeamingFacet,
  UplinkState,
  VlanSetting,
} from "@vdc-os/core/network/v1";
import type { UplinkUse } from "../dataplane/host-uplinks.ts";
import { findingsOf } from "../wire/probe/health-findings.ts";
import type { ProbeResult, ProbeTarget } from "../wire/probe/path-prober.ts";
import type { DiscoveredNeighbour } from "../wire/services/discovery-agent.ts";
import { ask, type FacetHost } from "./facets.ts";
import { findSwitch } from "./find-switch.ts";
import { attachmentKeyOf } from "./host-config.ts";
import { failureText } from "./member-state.ts";

/** How long a piece of a capture is waited for on the host. */
const pieceMs = 1_000;
const smallProbeBytes = 160;

/** Frames of a port, as its data plane copies them. */
export function captureFacet(host: FacetHost): CaptureFacet {
  return {
    async *capturePort({ switchId, portKey, snapLength, maxFrames }, { signal }) {
      const record = host.find(switchId, portKey);
      const member = host.member(record.host);
      const { capture } = (await ask(host, record, "beginCapture", { snapLength })) as { capture: string };
      try {
        for (let left = maxFrames; left > 0 && !signal.aborted; ) {
          const now = host.find(switchId, portKey);
          if (!now.connected || now.attachment !== record.attachment) return;
          const params = { capture, limit: left, waitMs: pieceMs };
          const frames = (await member.request("takeCaptured", params)) as unknown as readonly CapturedFrame[];
          for (const frame of frames) {
            if (signal.aborted) return;
            left -= 1;
            yield frame;
          }
        }
      } finally {
        await member.request("endCapture", { capture }).catch(() => undefined);
      }
    },
  };
}

/** The uplinks of all members. */
export function teamingFacet(host: FacetHost, setting: EffectiveSettingFacet): TeamingFacet {
  return {
    ...setting,
    async uplinkStates({ switchId }) {
      const { spec } = findSwitch(host.state, switchId);
      const names = new Map(host.state.portsOf(switchId).map((port) => [attachmentKeyOf(port), port.portKey]));
      const states = await Promise.all(
        spec.members.map(async (member): Promise<readonly UplinkState[]> => {
          try {
            const uses = await host.member(member.host).request("uplinkUses", { switch: switchId });
            return (uses as unknown as readonly UplinkUse[]).map(({ status, ports }) => ({
              host: member.host,
              uplink: status.uplink,
              link: status.link,
              ports: ports.map((port) => names.get(port) ?? port).sort(),
              detail: status.reason ?? "",
            }));
          } catch (error) {
            const detail = `the host can't be asked: ${failureText(error)}`;
            return member.uplinks.map(({ name }) => ({
              host: member.host,
              uplink: name,
              link: "down",
              ports: [],
              detail,
            }));
          }
        }),
      );
      return states.flat();
    },
  };
}

/** Who is heard on the uplinks. A member that can't be asked is left out. */
export function discoveryFacet(host: FacetHost): DiscoveryFacet {
  return {
    async neighbours({ switchId }) {
      const { spec } = findSwitch(host.state, switchId);
      const heard = await Promise.allSettled(
        spec.members.map(async (member) => {
          const told = await host.member(member.host).request("neighbours", { switch: switchId });
          return (told as unknown as readonly DiscoveredNeighbour[]).map((each) => ({ host: member.host, ...each }));
        }),
      );
      return heard.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
    },
  };
}

/** Lets members probe each other with real frames, in every VLAN and by every uplink. */
export function healthCheckFacet(host: FacetHost): HealthCheckFacet {
  return {
    async runHealthCheck({ switchId, checks }, { signal }) {
      const { spec } = findSwitch(host.state, switchId);
      const members = spec.members.map((member) => member.host);
      const findings = await Promise.all(
        members.map(async (from): Promise<readonly HealthFinding[]> => {
          const targets = targetsOf(spec, from, checks);
          if (targets.length === 0) return [];
          try {
            const params = { switch: switchId, targets } as unknown as Json;
            const results = (await host.member(from).request("probe", params)) as unknown as readonly ProbeResult[];
            signal.throwIfAborted();
            return findingsOf(results, checks);
          } catch (error) {
            signal.throwIfAborted();
            const detail = `host '${from}' can't be asked: ${failureText(error)}. The member's status says whether it runs`;
            const tried = checks.filter((check) => check !== "teaming" || spec.transport === "uplinks");
            return members
              .filter((to) => to !== from)
              .flatMap((to) => tried.map((check) => ({ check, from, to, ok: false, detail })));
          }
        }),
      );
      return findings.flat();
    },
  };
}

/** The ways that the checks need to be tried. */
function targetsOf(spec: SwitchSpec, from: string, checks: readonly HealthCheckKind[]): readonly ProbeTarget[] {
  const others = spec.members.map(({ host }) => host).filter((host) => host !== from);
  const uplinks = spec.members.find(({ host }) => host === from)?.uplinks.map(({ name }) => name) ?? [];
  const ways = spec.transport === "uplinks" ? uplinks : [undefined];
  const vlans = checks.includes("vlan") ? vlansOf(spec) : vlansOf(spec).slice(0, 1);
  return others.flatMap((to) =>
    ways.flatMap((uplink) =>
      vlans.flatMap((vlan): ProbeTarget[] => {
        const small = { to, vlan, frameBytes: smallProbeBytes, ...(uplink === undefined ? {} : { uplink }) };
        return checks.includes("mtu") ? [small, { ...small, frameBytes: spec.mtu + 14 }] : [small];
      }),
    ),
  );
}

/** The VLANs of the port groups. */
function vlansOf({ portGroups }: SwitchSpec): readonly number[] {
  const vlans = portGroups.flatMap(({ setting }) => probedVlans(setting.vlan));
  return [...new Set(vlans.length === 0 ? [0] : vlans)].sort((a, b) => a - b);
}

/** A trunk counts by the ends of its ranges. */
function probedVlans(vlan: VlanSetting): readonly number[] {
  switch (vlan.kind) {
    case "none":
      return [0];
    case "access":
      return [vlan.id];
    case "trunk":
      return vlan.ranges.flatMap(({ from, to }) => [from, to]);
    case "pvlan":
      return [vlan.primary, vlan.secondary];
  }
}
