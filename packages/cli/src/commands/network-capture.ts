import { resolve } from "node:path";
import { findPort, portLabel } from "../datacenter/network-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { type CaptureFormat, openCaptureFile, openCaptureStream, writeCapture } from "../network/write-capture.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";

interface CaptureOptions {
  readonly output: string;
  readonly format?: string;
  readonly count?: string;
  readonly snap?: string;
}

/** `vdc network capture`. */
export const addCaptureCommand: AddCommands = (parent, bind) => {
  parent
    .command("capture")
    .description("write a port's frames into a file that Wireshark opens, until Ctrl-C or --count")
    .argument("<switch>", "its name")
    .argument("<port>", "a VM, a VM's NIC such as 'web-1/nic0', or a port key")
    .requiredOption("-o, --output <file>", "the file: '.pcapng' or '.pcap'; '-' for standard output")
    .option("--format <format>", "'pcapng' or 'pcap', where the file's name does not say it")
    .option("--count <n>", "ends after so many frames")
    .option("--snap <bytes>", "keeps this much of each frame, 14 to 65535", "65535")
    .addHelpText(
      "after",
      examples([
        [
          "vdc network capture prod web-1 -o web-1.pcapng",
          "until Ctrl-C; why frames were dropped is in their comments",
        ],
        ["vdc network capture prod web-1/nic1 -o - | tshark -r -", "into a program that reads captures"],
      ]),
    )
    .action(
      bind<CaptureOptions>((context, options, args) => {
        const [name, wanted] = [textArgument(args, 0), textArgument(args, 1)];
        const { output } = options;
        const format = formatOption(options);
        const maxFrames = wholeNumber(options.count, "--count", { from: 1, to: Number.MAX_SAFE_INTEGER });
        const snapLength = wholeNumber(options.snap, "--snap", { from: 14, to: 65_535 }) ?? 65_535;
        const { terminal, signal, cwd, stdout } = context;
        if (output === "-" && terminal.json) throw usageError("'-o -' and '--json' both want standard output");
        if (output === "-" && stdout === undefined) throw usageError("there is no standard output for '-o -'");
        return withDatacenter(context, async (dc) => {
          const port = await findPort(dc, name, wanted, signal);
          const label = portLabel(port);
          const sink =
            output === "-" && stdout !== undefined
              ? openCaptureStream(stdout)
              : await openCaptureFile(resolve(cwd, output));
          try {
            const limits = { snapLength, signal, ...(maxFrames === undefined ? {} : { maxFrames }) };
            const frames = dc.switches.capture(name, port.reference, limits);
            const comment = `port ${label} of switch ${name}, on host ${port.host}`;
            const totals = await terminal.progress(`Capturing ${label}`, (shown) =>
              writeCapture(frames, sink, {
                ...{ format, label, snapLength, comment, signal },
                onFrame: ({ frames: seen, missed }) =>
                  shown.update({ message: `${seen} frames${missed > 0 ? `, ${missed} missed` : ""}` }),
              }),
            );
            const said = [
              `${totals.frames} ${totals.frames === 1 ? "frame" : "frames"} of ${label}, ${formatByteSize(totals.bytes)}`,
              ...(totals.dropped > 0 ? [`${totals.dropped} of them dropped by the switch`] : []),
              ...(totals.missed > 0 ? [`${totals.missed} came too fast and are missing`] : []),
            ].join("; ");
            if (output === "-") terminal.note(`${said}.`);
            else
              terminal.result(
                { capture: { port: label, file: output, format, ...totals } },
                () => `${said}: '${output}'.`,
              );
          } finally {
            await sink.close();
          }
        });
      }),
    );
};

function formatOption({ format, output }: CaptureOptions): CaptureFormat {
  if (format === "pcap" || format === "pcapng") return format;
  if (format !== undefined) throw usageError(`'${format}' is no format: there is 'pcapng' and 'pcap'`);
  if (output === "-" || output.endsWith(".pcapng")) return "pcapng";
  if (output.endsWith(".pcap")) return "pcap";
  throw usageError(`'${output}' ends neither with '.pcapng' nor with '.pcap': say '--format'`);
}

/** A whole number of an option; `undefined` where it was not given. */
export function wholeNumber(
  text: string | undefined,
  option: string,
  { from, to }: { readonly from: number; readonly to: number },
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= from && value <= to) return value;
  throw usageError(`'${option} ${text}': a whole number from ${from} to ${to} is needed`);
}
