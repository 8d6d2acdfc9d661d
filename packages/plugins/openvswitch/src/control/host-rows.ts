import type { FlowExport } from "@vdc-os/core/network/v1";
import type { OpenVswitchConfig } from "../openvswitch-config.ts";
import { bridgeName, marks, type TunnelKind, tunnelName } from "./names.ts";
import type { SwitchRecord } from "./records.ts";

/** A tunnel port that a bridge should have. */
export interface DesiredTunnel {
  readonly name: string;
  readonly host: string;
  readonly kind: TunnelKind;
  readonly options: Readonly<Record<string, string>>;
}

/** The rows that a switch is made of on one host. */
export interface DesiredBridge {
  readonly switchId: string;
  readonly name: string;
  readonly columns: Readonly<Record<string, unknown>>;
  readonly tunnels: readonly DesiredTunnel[];
  /** Where Open vSwitch is told to listen for OpenFlow. */
  readonly listen: string | undefined;
  readonly flowExport: Readonly<Record<string, unknown>> | undefined;
  /** Where OpenFlow is spoken with it. */
  readonly openFlow: string;
}

/** What {@link desiredBridge} is made from. */
export interface DesiredBridgeInput {
  readonly config: OpenVswitchConfig;
  readonly host: string;
  readonly record: SwitchRecord;
}

/** What a host's database should say about a switch. Pure. */
export function desiredBridge({ config, host, record }: DesiredBridgeInput): DesiredBridge {
  const { name: provider, hosts, firstVni = 65_536 } = config;
  const { spec, number } = record;
  const own = hosts[host];
  const bridge = bridgeName(provider, spec.switchId);
  const kinds: readonly TunnelKind[] = (spec.mirrors ?? []).length > 0 ? ["frames", "copies"] : ["frames"];
  const others = spec.members.filter((member) => member.host !== host);
  const tunnels = others.flatMap((member) =>
    kinds.map((kind): DesiredTunnel => {
      const vni = firstVni + (number - 1) * 2 + (kind === "frames" ? 0 : 1);
      const options = {
        remote_ip: hosts[member.host]?.tunnelAddress ?? "",
        ...(own?.tunnelAddress !== undefined && own.pinTunnelSource === true ? { local_ip: own.tunnelAddress } : {}),
        key: String(vni),
      };
      return { name: tunnelName(provider, spec.switchId, member.host, kind), host: member.host, kind, options };
    }),
  );
  const { openFlow, listen } = openFlowOf(own?.openFlow, { openVswitch: own?.openVswitch ?? "", bridge, number });
  return {
    switchId: spec.switchId,
    name: bridge,
    openFlow,
    listen,
    tunnels,
    columns: {
      fail_mode: "secure",
      datapath_type: own?.datapathType ?? "",
      other_config: { "disable-in-band": "true" },
      external_ids: { [marks.provider]: provider, [marks.key]: spec.switchId },
    },
    flowExport: spec.flowExport === undefined ? undefined : flowExportColumns(spec.flowExport),
  };
}

/** Open vSwitch counts time in seconds; without time each frame is told at once. */
function flowExportColumns(flowExport: FlowExport): Readonly<Record<string, unknown>> {
  const { collector, port, observationDomainId, activeTimeoutMs, samplingRate } = flowExport;
  const host = collector.includes(":") ? `[${collector}]` : collector;
  return {
    targets: [`${host}:${port}`],
    sampling: samplingRate,
    obs_domain_id: observationDomainId,
    cache_active_timeout: Math.min(4_200, Math.floor(activeTimeoutMs / 1_000)),
    other_config: { "enable-tunnel-sampling": "false" },
  };
}

function openFlowOf(
  remote: string | undefined,
  { openVswitch, bridge, number }: { readonly openVswitch: string; readonly bridge: string; readonly number: number },
): { readonly openFlow: string; readonly listen: string | undefined } {
  if (remote === undefined) {
    const [socket] = openVswitch.split(",").filter((each) => each.trim().startsWith("unix:"));
    const folder = socket
      ?.trim()
      .slice("unix:".length)
      .replace(/\/[^/]*$/, "");
    return { openFlow: `unix:${folder ?? "/run/openvswitch"}/${bridge}.mgmt`, listen: undefined };
  }
  const address = /^(tcp|ssl):(.+):(\d+)$/.exec(remote);
  if (address === null) return { openFlow: remote.replaceAll("{bridge}", bridge), listen: undefined };
  const [, method = "tcp", host = "", first = "0"] = address;
  const port = Number(first) + number - 1;
  return { openFlow: `${method}:${host}:${port}`, listen: `p${method}:${port}:${host}` };
}
