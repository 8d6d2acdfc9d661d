import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { lookAtSwitch, topologyOf } from "../datacenter/network-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { switchTopologySvg } from "../render/switch-topology-svg.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { intervalOption } from "./networks.ts";

/** `vdc network topology`. */
export const addTopologyCommand: AddCommands = (parent, bind) => {
  parent
    .command("topology")
    .description("a picture of a switch: hosts, port groups, ports and rates")
    .argument("<switch>", "its name")
    .requiredOption("--svg <file>", "where the picture goes; '-' for standard output")
    .option("--interval <seconds>", "how long rates are looked at; 0 for no rates", "1")
    .addHelpText("after", examples([["vdc network topology prod --svg prod.svg", "a picture, for light and dark"]]))
    .action(
      bind<{ svg: string; interval: string }>((context, { svg, interval }, args) => {
        const name = textArgument(args, 0);
        const intervalMs = intervalOption(interval);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal, cwd } = context;
          const topology = topologyOf(
            await terminal.progress(`Looking at switch '${name}'`, () =>
              lookAtSwitch(dc, name, { intervalMs, signal }),
            ),
          );
          const picture = switchTopologySvg(topology);
          if (svg !== "-") await writeFile(resolve(cwd, svg), picture);
          terminal.result({ topology, svg: svg === "-" ? picture : svg }, () =>
            svg === "-" ? picture.trimEnd() : `The picture of switch '${name}' is in '${svg}'.`,
          );
        });
      }),
    );
};
