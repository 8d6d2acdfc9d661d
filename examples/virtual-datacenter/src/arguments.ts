import { parseArgs } from "node:util";

/** What the command line asks for. */
export interface Arguments {
  /** Leaves the datacenter running, for the next start to adopt. */
  readonly keep: boolean;
  /** Removes a datacenter that was kept. */
  readonly remove: boolean;
  /** Runs on the simulator although QEMU is there. */
  readonly simulate: boolean;
  /** Prints the result as JSON. */
  readonly json: boolean;
}

/** What `--help` prints. */
export const usage = `Builds a virtual datacenter on this machine: two hosts, a golden image, three linked-clone VMs on a
distributed switch, and one more instance in a second datacenter that stands for an external cloud.

  npm start                 build it, show it, remove it
  npm start -- --keep       leave it running; the next start with --keep adopts it
  npm start -- --remove     remove a datacenter that was kept
  npm start -- --simulate   use the simulator instead of QEMU
  npm start -- --json       print the result as JSON`;

/** Reads the command line; `undefined` for `--help`. Throws a `TypeError` for what it does not know. */
export function readArguments(args: readonly string[]): Arguments | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keep: { type: "boolean", default: false },
      remove: { type: "boolean", default: false },
      simulate: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { help, ...asked } = values;
  return help ? undefined : asked;
}
