import { findPort, portLabel } from "../datacenter/network-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { dropReasonText } from "../network/drop-reason-text.ts";
import { buildFrame, type FrameRecipe, parseFrame } from "../network/build-frame.ts";
import { printable } from "../terminal/printable.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { wholeNumber } from "./network-capture.ts";

interface ExplainOptions {
  readonly frame?: string;
  readonly to?: string;
  readonly from?: string;
  readonly vlan?: string;
  readonly sourceIp?: string;
  readonly destinationIp?: string;
  readonly protocol?: string;
  readonly sourcePort?: string;
  readonly destinationPort?: string;
}

/** `vdc network explain`. */
export const addExplainCommand: AddCommands = (parent, bind) => {
  parent
    .command("explain")
    .description("what the switch would do with a frame of a port's VM, step by step; nothing is sent")
    .argument("<switch>", "its name")
    .argument("<port>", "a VM, a VM's NIC such as 'web-1/nic0', or a port key")
    .option("--frame <hex>", "the whole frame, in hexadecimal digits")
    .option("--to <mac|port>", "or: its destination, a MAC address, a port's name, or 'broadcast'")
    .option("--from <mac>", "its source. Default: the port's own address")
    .option("--vlan <n>", "its 802.1Q tag")
    .option("--source-ip <address>", "makes it IPv4")
    .option("--destination-ip <address>", "makes it IPv4")
    .option("--protocol <name>", "'tcp', 'udp' or 'icmp'")
    .option("--source-port <n>", "of TCP or UDP")
    .option("--destination-port <n>", "of TCP or UDP")
    .addHelpText(
      "after",
      examples([
        ["vdc network explain prod web-1 --to db-1", "a frame from VM web-1 to VM db-1"],
        ["vdc network explain prod web-1 --to broadcast --vlan 20", "a tagged broadcast"],
        ["vdc network explain prod web-1 --to db-1 --protocol tcp --destination-port 5432", "what filters say to it"],
      ]),
    )
    .action(
      bind<ExplainOptions>((context, options, args) => {
        const [name, wanted] = [textArgument(args, 0), textArgument(args, 1)];
        const { frame: given, to } = options;
        if ((given === undefined) === (to === undefined)) throw usageError("say the frame with '--frame' or '--to'");
        const recipe = recipeOf(options);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { style } = terminal;
          const port = await findPort(dc, name, wanted, signal);
          const { ports } = await dc.switches.view(name, { signal });
          const names = new Map(ports.map((each) => [each.portKey, portLabel(each)]));
          const hostOf = new Map(ports.map((each) => [each.portKey, each.host]));
          const addressOf = async (text: string): Promise<string> => {
            if (text === "broadcast") return "ff:ff:ff:ff:ff:ff";
            if (/^[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}$/i.test(text)) return text;
            const other = await findPort(dc, name, text, signal);
            const mac = other.mac ?? other.learnedMacs[0];
            if (mac !== undefined) return mac;
            throw usageError(`the address of port '${text}' is not known: say it`);
          };
          const own = port.mac ?? port.learnedMacs[0];
          const from = options.from ?? own;
          if (given === undefined && from === undefined)
            throw usageError("the port's address is not known: say '--from'");
          const frame =
            given === undefined
              ? buildFrame({ ...recipe, from: from ?? "", to: await addressOf(to ?? "") })
              : parseFrame(given);
          const found = await dc.switches.explain(name, port.reference, frame, { signal });
          const { verdict, reason, hosts, steps } = found;
          const named = found.ports.map((key) => names.get(key) ?? key);
          const said = (text: string): string =>
            [...names].reduce((all, [key, label]) => all.replaceAll(key, label), printable(text));
          terminal.result({ explanation: { ...found, portNames: named }, frame: frame.toString("hex") }, () => {
            const paint = verdict === "drop" ? style.red : verdict === "flood" ? style.yellow : style.green;
            const widest = Math.max(0, ...steps.map(({ stage }) => stage.length));
            const lines = steps.map(
              ({ stage, detail }, at) =>
                `${style.dim(String(at + 1).padStart(2))}  ${style.bold(stage.padEnd(widest))}  ${said(detail)}`,
            );
            const places = found.ports.map((key, which) => {
              const host = hostOf.get(key);
              return host === undefined || host === port.host ? named[which] : `${named[which]} on ${host}`;
            });
            // A provider that does not follow the frame tells the hosts that it goes to.
            const ways = places.length > 0 ? places : verdict === "drop" ? [] : hosts.map((host) => `host ${host}`);
            const why = verdict === "drop" ? dropReasonText(reason) : undefined;
            const ending = [
              `${paint(style.bold(verdict))} (${said(reason)})`,
              ...(ways.length > 0 ? [`to ${ways.join(", ")}`] : why === undefined ? [] : [why]),
            ].join(": ");
            return [...lines, "", ending].join("\n");
          });
        });
      }),
    );
};

function recipeOf(options: ExplainOptions): Omit<FrameRecipe, "to" | "from"> {
  const { protocol, sourceIp, destinationIp } = options;
  if (protocol !== undefined && protocol !== "tcp" && protocol !== "udp" && protocol !== "icmp") {
    throw usageError(`'${protocol}' is no protocol here: there is 'tcp', 'udp' and 'icmp'`);
  }
  const vlan = wholeNumber(options.vlan, "--vlan", { from: 0, to: 4095 });
  const port = { from: 0, to: 0xffff };
  const sourcePort = wholeNumber(options.sourcePort, "--source-port", port);
  const destinationPort = wholeNumber(options.destinationPort, "--destination-port", port);
  const hasPorts = sourcePort !== undefined || destinationPort !== undefined;
  if (hasPorts && protocol === "icmp") throw usageError("ICMP has no ports");
  const kind = protocol ?? (hasPorts ? "udp" : undefined);
  return {
    ...(vlan === undefined ? {} : { vlan }),
    ...(sourceIp === undefined ? {} : { sourceIp }),
    ...(destinationIp === undefined ? {} : { destinationIp }),
    ...(kind === undefined ? {} : { protocol: kind }),
    ...(sourcePort === undefined ? {} : { sourcePort }),
    ...(destinationPort === undefined ? {} : { destinationPort }),
  };
}
