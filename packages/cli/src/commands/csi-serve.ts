import { once } from "node:events";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import type { ServeCsiOptions } from "@vdc-os/plugin-csi";
import { chosenStorage, storageOf } from "../datacenter/storage-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { type AddCommands, examples } from "./command-context.ts";

interface ServeOptions {
  readonly storage?: string;
  readonly socket: string;
  readonly driverName?: string;
  readonly nodeId?: readonly string[];
  readonly node?: string | true;
}

/** `vdc csi serve`. */
export const addCsiCommand: AddCommands = (parent, bind) => {
  parent
    .command("serve")
    .description("offer a pool as a CSI driver, until Ctrl-C")
    .requiredOption("--socket <path>", "the Unix socket; its mode becomes 0600")
    .option("--storage <name>", "the pool; needed where there are several")
    .option("--driver-name <name>", "the driver's name. Default: csi.vdc-os")
    .option("--node [id]", "also service Node: makes volumes into files on this machine, as the host of that name")
    .option("--node-id <id...>", "the hosts that volumes can be published on. Default: that of --node")
    .addHelpText(
      "after",
      examples([
        ["vdc csi serve --storage thin --socket /run/vdc/csi.sock --node local", "all services, on this machine"],
      ]),
    )
    .action(
      bind<ServeOptions>((context, options) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal, cwd } = context;
          const storage = chosenStorage(dc, options.storage);
          const socket = resolve(cwd, options.socket);
          const nodeId = options.node === true ? hostname() : options.node;
          const serve: ServeCsiOptions = {
            socket,
            provider: storageOf(dc, storage),
            ...(nodeId === undefined ? {} : { node: { nodeId, directory: join(dc.directory, "csi-node") } }),
            ...(options.nodeId === undefined ? {} : { nodeIds: options.nodeId }),
            ...(options.driverName === undefined ? {} : { driverName: options.driverName }),
          };
          const { serveCsi } = await import("@vdc-os/plugin-csi");
          await using server = await serveCsi(serve);
          terminal.result(
            { serving: { storage, socket: server.socket } },
            () => `Storage '${storage}' is served on '${server.socket}'. Ctrl-C ends it.`,
          );
          if (!signal.aborted) await once(signal, "abort");
          terminal.note("It has ended. What is published stays so.");
        }),
      ),
    );
};
