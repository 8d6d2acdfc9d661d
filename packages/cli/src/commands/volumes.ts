import { assertRemovable } from "../datacenter/assert-removable.ts";
import { finishTask } from "../datacenter/finish-task.ts";
import { chosenStorage, currentVolumes, healthOf, presentVolume } from "../datacenter/storage-access.ts";
import { storageNameOf } from "../datacenter/volume-object.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { formatByteSize, parseByteSize } from "../terminal/byte-size.ts";
import { formatTable } from "../terminal/table.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { sizeText, volumeFacts, volumeView } from "./volume-text.ts";

interface CreateOptions {
  readonly size: string;
  readonly storage?: string;
  readonly policy?: string;
  readonly hosts?: readonly string[];
}

/** `vdc storage volumes`. */
export const addVolumesCommand: AddCommands = (parent, bind) => {
  parent
    .command("volumes")
    .description("the volumes of the datacenter")
    .action(
      bind((context) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { style } = terminal;
          const [objects, current] = await Promise.all([dc.volumes.list({ signal }), currentVolumes(dc, signal)]);
          const volumes = objects.map((object) =>
            volumeView(object, current.get(`${storageNameOf(object)}/${object.status.volumeId}`)),
          );
          terminal.result({ volumes }, () => {
            if (volumes.length === 0) return "There are no volumes: 'vdc storage volume create --help'.";
            const rows = volumes.map((volume) => [
              style.bold(volume.name),
              volume.storage ?? "-",
              sizeText(volume.capacityBytes),
              sizeText(volume.allocatedBytes),
              volume.standsAlone === true ? "-" : (volume.cloneKind ?? "-"),
              volume.attachedTo?.vm ?? "-",
              volume.state === "ready" ? volume.state : style.yellow(volume.state),
            ]);
            return formatTable(
              [
                { title: "VOLUME" },
                { title: "STORAGE" },
                { title: "SIZE", align: "right" },
                { title: "USED", align: "right" },
                { title: "CLONE" },
                { title: "VM" },
                { title: "STATE" },
              ],
              rows,
              style.dim,
            );
          });
        }),
      ),
    );
};

/** `vdc storage volume create|show|resize|remove`. */
export const addVolumeCommands: AddCommands = (parent, bind) => {
  parent
    .command("create")
    .description("make an empty volume")
    .argument("<name>", "its name: lower-case letters, digits, '-' and '.'")
    .requiredOption("--size <size>", "what the guest sees: '10G', '512MiB'")
    .option("--storage <name>", "the pool; needed where there are several")
    .option("--policy <name>", "the policy that chooses the pool")
    .option(
      "--hosts <host...>",
      "hosts that it must be attachable on: a pool that one of them does not reach is not taken",
    )
    .addHelpText(
      "after",
      examples([
        ["vdc storage volume create disk --size 10G --storage thin", "an empty volume of 10 GiB"],
        ["vdc storage volume create disk --size 10G --policy gold", "where the policy says"],
      ]),
    )
    .action(
      bind<CreateOptions>((context, { size, storage, policy, hosts }, args) => {
        const name = textArgument(args, 0);
        const capacityBytes = sizeOption(size);
        if (storage !== undefined && policy !== undefined) throw usageError("say '--storage' or '--policy', not both");
        return withDatacenter(context, async (dc) => {
          const { terminal } = context;
          const where = policy === undefined ? { storage: chosenStorage(dc, storage) } : { policy };
          const reached = hosts === undefined ? {} : { accessibleHosts: hosts };
          const { task, created } = await dc.volumes.create({ name, spec: { ...where, ...reached, capacityBytes } });
          const afterCancel = (signal: AbortSignal) => dc.volumes.deleteAndWait(name, { signal });
          const made = await finishTask(context, task, {
            label: `Creating '${name}'`,
            about: { dc, name },
            afterCancel,
            undoFailed: created,
          });
          const volume = volumeView(made, undefined);
          terminal.result(
            { volume },
            () => `Volume '${name}': ${sizeText(volume.capacityBytes)} on '${volume.storage}'.`,
          );
        });
      }),
    );
  parent
    .command("show")
    .description("all about a volume")
    .argument("<name>", "its name")
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const object = await dc.volumes.get(textArgument(args, 0), { signal });
          const current = await currentVolumes(dc, signal);
          const volume = volumeView(object, current.get(`${storageNameOf(object)}/${object.status.volumeId}`));
          const { spec, status, conditions } = object;
          const health = await healthOf(dc, object, signal);
          terminal.result(
            { volume: { ...volume, ...(health === undefined ? {} : { health }), spec, status, conditions } },
            () => volumeFacts(volume, object, { health, style: terminal.style }),
          );
        }),
      ),
    );
  parent
    .command("resize")
    .description("make a volume larger, also while a VM uses it")
    .argument("<name>", "its name")
    .argument("<size>", "the new size: '20G'; or what to add: '+5G'")
    .action(
      bind((context, _options, args) => {
        const name = textArgument(args, 0);
        const size = textArgument(args, 1);
        const wanted = sizeOption(size.replace(/^\+/, ""));
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { object, storage, volumeId } = await presentVolume(dc, name, signal);
          const before = (await storage.getVolume({ volumeId }, { signal })).capacityBytes;
          const capacityBytes = size.startsWith("+") ? before + wanted : wanted;
          const { task } = await dc.volumes.apply(object.metadata.name, { capacityBytes });
          const volume = volumeView(
            await finishTask(context, task, { label: `Resizing '${name}'`, about: { dc, name } }),
            undefined,
          );
          terminal.result(
            { volume },
            () => `Volume '${name}': ${formatByteSize(before)} -> ${sizeText(volume.capacityBytes)}.`,
          );
        });
      }),
    );
  parent
    .command("remove")
    .description("remove a volume and what it holds")
    .argument("<name>", "its name")
    .action(
      bind((context, _options, args) => {
        const name = textArgument(args, 0);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          await assertRemovable(dc, name, signal);
          const task = await dc.volumes.delete(name);
          await finishTask(context, task, { label: `Removing '${name}'`, about: { dc, name } });
          terminal.result({ removed: name }, () => `Volume '${name}' is removed.`);
        });
      }),
    );
};

/** A size of the command line. Fails with a usage error. */
export function sizeOption(text: string): number {
  try {
    return parseByteSize(text);
  } catch (error) {
    throw usageError((error as Error).message);
  }
}
