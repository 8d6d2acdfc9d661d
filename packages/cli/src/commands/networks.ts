import type { MemberState } from "@vdc-os/core/network/v1";
import type { SwitchView } from "@vdc-os/sdk";
import {
  lookAtSwitch,
  portLabel,
  sortedPorts,
  type SwitchReport,
  untilLookedAt,
} from "../datacenter/network-access.ts";
import { conditionOf } from "../datacenter/volume-object.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { vlanText } from "../render/vlan-text.ts";
import { formatBitRate } from "../terminal/bit-rate.ts";
import { formatCountRate } from "../terminal/count-rate.ts";
import { printable } from "../terminal/printable.ts";
import type { Style } from "../terminal/style.ts";
import { formatFacts, formatTable } from "../terminal/table.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";

/** `vdc network list|show`. */
export const addNetworkCommands: AddCommands = (parent, bind) => {
  parent
    .command("list")
    .description("the distributed switches of the datacenter")
    .action(
      bind((context) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { style } = terminal;
          const switches = await dc.switches.list({ signal });
          const views = await untilLookedAt(
            dc,
            switches.map(({ metadata }) => metadata.name),
            signal,
          );
          const told = switches.map((object) => switchLine(object, views.get(object.metadata.name)));
          terminal.result({ switches: told }, () => {
            if (told.length === 0) return "There are no switches.";
            const rows = told.map((each) => [
              style.bold(each.name),
              each.network,
              each.transport,
              String(each.mtu),
              each.hosts.join(", "),
              String(each.portGroups.length),
              `${each.linksUp}/${each.connectedPorts}`,
              each.state === "ready"
                ? style.green(each.state)
                : style.yellow(printable([each.state, each.message].filter(Boolean).join(": "))),
            ]);
            return formatTable(
              [
                { title: "SWITCH" },
                { title: "NETWORK", leftOut: 3 },
                { title: "TRANSPORT", leftOut: 1 },
                { title: "MTU", align: "right", leftOut: 2 },
                { title: "HOSTS", narrow: "wrapped" },
                { title: "GROUPS", align: "right", leftOut: 4 },
                { title: "PORTS UP", align: "right" },
                { title: "STATE", narrow: "wrapped" },
              ],
              rows,
              { mark: style.dim, width: terminal.width },
            );
          });
        }),
      ),
    );
  parent
    .command("show")
    .description("a switch: its hosts with their states, port groups, and ports with VM, VLAN, link and rates")
    .argument("<switch>", "its name")
    .option("--interval <seconds>", "how long rates are looked at; 0 for no rates", "1")
    .addHelpText(
      "after",
      examples([
        ["vdc network show prod", "hosts, port groups and ports"],
        ["vdc network show prod --interval 10", "rates over ten seconds"],
        ["vdc network show prod --json", "all of it, for programs"],
      ]),
    )
    .action(
      bind<{ interval: string }>((context, { interval }, args) => {
        const name = textArgument(args, 0);
        const intervalMs = intervalOption(interval);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const report = await terminal.progress(`Looking at switch '${name}'`, () =>
            lookAtSwitch(dc, name, { intervalMs, signal }),
          );
          const { object, view, rates, uplinks } = report;
          const { spec, status, conditions } = object;
          const ports = sortedPorts(view.ports).map((port) => ({ ...port, rates: rates.get(port.portKey) }));
          const { members, desiredGeneration } = view;
          terminal.result(
            { switch: { name, spec, status, conditions, desiredGeneration, members, uplinks, ports } },
            () => switchText(report, terminal),
          );
        });
      }),
    );
};

/** What the list tells of a switch: what was asked, and how it is now. */
function switchLine({ metadata, spec, status, conditions }: SwitchReport["object"], view: SwitchView | undefined) {
  const { members = [], ports = [], desiredGeneration = 0 } = view ?? {};
  const late = members.filter(
    ({ state, realizedGeneration }) =>
      (state !== "up" && state !== "warning") || realizedGeneration < desiredGeneration,
  );
  const refused = conditionOf({ conditions }, "Failed");
  const why = refused?.status === "True" ? [refused.message] : late.map(({ host, state }) => `'${host}' is ${state}`);
  return {
    name: metadata.name,
    network: spec.network,
    transport: spec.transport,
    mtu: spec.mtu,
    hosts: spec.hosts,
    portGroups: spec.portGroups.map((group) => group.name),
    connectedPorts: ports.length,
    linksUp: ports.filter(({ link }) => link === "up").length,
    state: status.trial !== undefined ? "on trial" : why.length === 0 ? "ready" : "not ready",
    message: why.join(", "),
  };
}

/** Seconds as a person writes them, in milliseconds. */
export function intervalOption(text: string): number {
  const seconds = Number(text);
  if (text.trim() === "" || !Number.isFinite(seconds) || seconds < 0 || seconds > 3600) {
    throw usageError(`'${text}' is no number of seconds from 0 to 3600`);
  }
  return Math.round(seconds * 1000);
}

/** A switch as text. In a narrow terminal ports are told with less: `vdc network port` tells the rest. */
export function switchText(report: SwitchReport, { style, width }: Pick<Terminal, "style" | "width">): string {
  const table = { mark: style.dim, width };
  const { object, view, rates } = report;
  const { spec, status } = object;
  const { trial } = status;
  const head = formatFacts(
    [
      ["switch", style.bold(object.metadata.name)],
      ["network", spec.network],
      ["transport", spec.transport],
      ["mtu", String(spec.mtu)],
      ["discovery", spec.discovery],
      ["mirrors", spec.mirrors?.map(({ name }) => name).join(", ")],
      [
        "flow export",
        spec.flowExport === undefined ? undefined : `${spec.flowExport.collector}:${spec.flowExport.port}`,
      ],
      [
        "on trial",
        trial === undefined
          ? undefined
          : style.yellow(`until ${new Date(trial.deadline).toISOString().slice(11, 19)} UTC, unless it is confirmed`),
      ],
    ],
    style.dim,
  );
  const hosts = formatTable(
    [
      { title: "HOST" },
      { title: "STATE" },
      { title: "PORTS", align: "right" },
      { title: "UPLINKS", narrow: "wrapped" },
      { title: "", narrow: "below" },
    ],
    view.members.map(({ host, state, detail }) => [
      style.bold(host),
      stateText(state, style),
      String(view.ports.filter((port) => port.host === host).length),
      uplinksText(report, host),
      style.dim(printable(detail)),
    ]),
    table,
  );
  const groups = formatTable(
    [
      { title: "PORT GROUP" },
      { title: "VLAN", narrow: "cut" },
      { title: "BINDING", leftOut: 1 },
      { title: "PORTS", align: "right" },
      { title: "A PORT MAY SET", narrow: "wrapped" },
    ],
    spec.portGroups.map(({ name, policy, binding, maxPorts, overrides }) => [
      style.bold(name),
      vlanText(policy.vlan ?? spec.policy.vlan ?? { kind: "none" }),
      binding,
      `${view.ports.filter(({ portGroup }) => portGroup === name).length}${maxPorts === undefined ? "" : ` of ${maxPorts}`}`,
      overrides.length === 0 ? "-" : overrides.join(", "),
    ]),
    table,
  );
  const rows = sortedPorts(view.ports).map((port) => {
    const rate = rates.get(port.portKey);
    const drops = rate === undefined ? 0 : rate.dropsInPerSecond + rate.dropsOutPerSecond;
    return [
      style.bold(portLabel(port)),
      port.host,
      port.portGroup,
      vlanText(port.vlan ?? { kind: "none" }),
      port.mac ?? port.learnedMacs[0] ?? "-",
      port.link === "up" ? style.green("up") : style.yellow("down"),
      rate === undefined ? "" : formatBitRate(rate.bitsInPerSecond),
      rate === undefined ? "" : formatBitRate(rate.bitsOutPerSecond),
      drops === 0 ? "" : style.yellow(formatCountRate(drops)),
      [...(port.gate === "open" ? [] : [style.yellow(`gate ${port.gate}`)]), ...problemText(port.problem, style)].join(
        ", ",
      ),
    ];
  });
  const ports =
    rows.length === 0
      ? "No port is connected."
      : formatTable(
          [
            { title: "PORT", narrow: "cut" },
            { title: "HOST", narrow: "cut" },
            { title: "GROUP", leftOut: 2 },
            { title: "VLAN", leftOut: 3 },
            { title: "MAC", leftOut: 1 },
            { title: "LINK" },
            { title: rates.size === 0 ? "" : "SENDS", align: "right" },
            { title: rates.size === 0 ? "" : "GETS", align: "right" },
            { title: rows.some((row) => row[8] !== "") ? "DROPS" : "", align: "right" },
            { title: "", narrow: "below" },
          ],
          rows,
          table,
        );
  return [head, hosts, groups, ports].join("\n\n");
}

function problemText(problem: string | undefined, style: Style): readonly string[] {
  return problem === undefined ? [] : [style.red(printable(problem))];
}

function stateText(state: MemberState, style: Style): string {
  if (state === "up") return style.green(state);
  return state === "warning" || state === "pending" ? style.yellow(state) : style.red(state);
}

function uplinksText({ object, uplinks }: SwitchReport, host: string): string {
  const names = (object.spec.uplinks?.[host] ?? []).map(({ name }) => {
    const link = uplinks.find((each) => each.host === host && each.uplink === name)?.link;
    return link === undefined ? name : `${name} ${link}`;
  });
  return names.length === 0 ? "-" : names.join(", ");
}
