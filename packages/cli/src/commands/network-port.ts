import { isVdcError, toVdcError } from "@vdc-os/core";
import { findPort, portLabel } from "../datacenter/network-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { portCountersText } from "../network/port-counters-text.ts";
import { portSettingFacts } from "../network/port-setting-text.ts";
import { formatBitRate } from "../terminal/bit-rate.ts";
import { formatCountRate } from "../terminal/count-rate.ts";
import { printable } from "../terminal/printable.ts";
import { formatFacts } from "../terminal/table.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { intervalOption } from "./networks.ts";

/** How many learned addresses are printed; `--json` has all. */
const someAddresses = 8;

/** `vdc network port`. */
export const addPortCommand: AddCommands = (parent, bind) => {
  parent
    .command("port")
    .description("a port: what passed, what was dropped and why, and the settings that are in force")
    .argument("<switch>", "its name")
    .argument("<port>", "a VM, a VM's NIC such as 'web-1/nic0', or a port key")
    .option("--interval <seconds>", "how long rates are looked at; 0 for no rates", "1")
    .addHelpText("after", examples([["vdc network port prod web-1", "also tells whether a limit took effect"]]))
    .action(
      bind<{ interval: string }>((context, { interval }, args) => {
        const [name, wanted] = [textArgument(args, 0), textArgument(args, 1)];
        const intervalMs = intervalOption(interval);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { style } = terminal;
          const { reference, ...port } = await findPort(dc, name, wanted, signal);
          const ports = [reference];
          const [rates] = intervalMs === 0 ? [] : await dc.switches.portRates(name, { ports, intervalMs, signal });
          const [[statistics], setting] = await Promise.all([
            dc.switches.portStatistics(name, { ports, signal }),
            dc.switches.effectiveSetting(name, reference, { signal }).catch((error) => {
              if (isVdcError(error, "UNIMPLEMENTED")) return undefined;
              throw toVdcError(error);
            }),
          ]);
          terminal.result({ port: { switch: name, ...port, rates, statistics, setting } }, () => {
            const { host, portGroup, mac, link, gate, problem, learnedMacs: learned, portKey, generation } = port;
            const more = learned.length > someAddresses ? ` and ${learned.length - someAddresses} more` : "";
            const facts = formatFacts(
              [
                ["port", style.bold(portLabel(port))],
                ["switch", name],
                ["host", host],
                ["group", portGroup],
                ["mac", mac],
                ["learned", learned.length === 0 ? undefined : `${learned.slice(0, someAddresses).join(", ")}${more}`],
                ["link", link === "up" ? style.green(link) : style.yellow(link)],
                ["gate", gate === "open" ? undefined : style.yellow(gate)],
                ["problem", problem === undefined ? undefined : style.red(printable(problem))],
                ["key", `${portKey}, generation ${generation}`],
                [
                  "sends",
                  rates &&
                    `${formatBitRate(rates.bitsInPerSecond)}, frames ${formatCountRate(rates.framesInPerSecond)}`,
                ],
                [
                  "gets",
                  rates &&
                    `${formatBitRate(rates.bitsOutPerSecond)}, frames ${formatCountRate(rates.framesOutPerSecond)}`,
                ],
              ],
              style.dim,
            );
            return [
              facts,
              ...(statistics === undefined ? [] : [portCountersText(statistics, style)]),
              ...(setting === undefined
                ? []
                : [`${style.dim("IN FORCE")}\n${formatFacts(portSettingFacts(setting), style.dim)}`]),
            ].join("\n\n");
          });
        });
      }),
    );
};
