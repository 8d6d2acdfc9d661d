import { VdcError } from "@vdc-os/core";
import type { HealthCheckKind } from "@vdc-os/core/network/v1";
import { portLabel } from "../datacenter/network-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { healthText } from "../network/health-text.ts";
import { formatDuration } from "../terminal/duration.ts";
import { printable } from "../terminal/printable.ts";
import { formatTable } from "../terminal/table.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";

const checks: readonly HealthCheckKind[] = ["path", "mtu", "vlan", "teaming"];

/** `vdc network health|neighbours|uplinks`. */
export const addDiagnosisCommands: AddCommands = (parent, bind) => {
  parent
    .command("health")
    .description("check the paths between a switch's hosts with real frames; ends with 1 when something is wrong")
    .argument("<switch>", "its name")
    .option("--check <kind...>", "'path', 'mtu', 'vlan', 'teaming'. Default: all")
    .option("--all", "tell each good finding too, however many there are")
    .addHelpText("after", examples([["vdc network health prod --check mtu", "whether the largest frame arrives"]]))
    .action(
      bind<{ check?: readonly string[]; all?: boolean }>((context, { check = checks, all = false }, args) => {
        const name = textArgument(args, 0);
        const unknown = check.find((kind) => !checks.includes(kind as HealthCheckKind));
        if (unknown !== undefined) throw usageError(`'${unknown}' is no check: there is ${checks.join(", ")}`);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { style } = terminal;
          const findings = await terminal.progress(`Checking switch '${name}'`, () =>
            dc.switches.healthCheck(name, { checks: check as readonly HealthCheckKind[], signal }),
          );
          const wrong = findings.filter(({ ok }) => !ok);
          terminal.result({ switch: name, healthy: wrong.length === 0, findings }, () => {
            if (findings.length === 0) return "There was nothing to check: a path needs two hosts that are up.";
            return healthText(findings, { style, all });
          });
          if (wrong.length > 0) {
            throw new VdcError(
              "FAILED_PRECONDITION",
              `${wrong.length} of ${findings.length} findings about switch '${name}' are not as they should be`,
              { reason: "VDC_NETWORK_UNHEALTHY", retryable: false },
            );
          }
        });
      }),
    );
  parent
    .command("neighbours")
    .description("who is heard on a switch's uplinks (LLDP)")
    .argument("<switch>", "its name")
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const name = textArgument(args, 0);
          const neighbours = await dc.switches.neighbours(name, { signal });
          const { spec } = await dc.switches.get(name, { signal });
          terminal.result({ neighbours }, () => {
            if (neighbours.length === 0) return nobodyText(name, spec);
            const rows = neighbours.map((each) => [
              each.host,
              each.uplink,
              printable(each.systemName ?? each.chassisId),
              printable(each.portId),
              printable(each.managementAddress ?? "-"),
              formatDuration(each.expiresInMs),
              printable(each.systemDescription ?? ""),
            ]);
            const columns = ["HOST", "UPLINK", "NEIGHBOUR", "ITS PORT", "ADDRESS", "FORGOTTEN IN", ""];
            return formatTable(
              columns.map((title) => ({ title })),
              rows,
              terminal.style.dim,
            );
          });
        }),
      ),
    );
  parent
    .command("uplinks")
    .description("the uplinks of a switch's hosts, and which ports use them")
    .argument("<switch>", "its name")
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { style } = terminal;
          const name = textArgument(args, 0);
          const [uplinks, { ports }] = await Promise.all([
            dc.switches.uplinkStates(name, { signal }),
            dc.switches.view(name, { signal }),
          ]);
          const names = new Map(ports.map((port) => [port.portKey, portLabel(port)]));
          terminal.result({ uplinks }, () => {
            if (uplinks.length === 0) return `Switch '${name}' has no uplinks.`;
            const rows = uplinks.map(({ host, uplink, link, ports: users, detail }) => [
              style.bold(host),
              uplink,
              link === "up" ? style.green(link) : style.red(link),
              users.length === 0 ? "-" : users.map((key) => names.get(key) ?? key).join(", "),
              printable(detail),
            ]);
            const columns = ["HOST", "UPLINK", "LINK", "USED BY", ""].map((title) => ({ title }));
            return formatTable(columns, rows, style.dim);
          });
        }),
      ),
    );
};

/** Why there are no neighbours. */
function nobodyText(
  name: string,
  {
    discovery,
    uplinks = {},
  }: { readonly discovery?: string; readonly uplinks?: Readonly<Record<string, readonly unknown[]>> },
): string {
  if (!Object.values(uplinks).some((some) => some.length > 0)) {
    return `Switch '${name}' has no uplinks, so there is nobody to hear.`;
  }
  if (discovery === "listen" || discovery === "both") {
    return "Nobody was heard yet: neighbours announce themselves every 30 seconds or so.";
  }
  return `Switch '${name}' does not listen: its spec's 'discovery' must be 'listen' or 'both'.`;
}
