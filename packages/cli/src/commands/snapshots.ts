import { VdcError } from "@vdc-os/core";
import { finishTask } from "../datacenter/finish-task.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { formatTime } from "../terminal/duration.ts";
import { formatTable } from "../terminal/table.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";
import { sizeText } from "./volume-text.ts";

/** `vdc storage snapshots`, and `vdc storage snapshot create|remove|revert`. */
export const addSnapshotCommands: AddCommands = (parent, bind) => {
  parent
    .command("snapshots")
    .description("the snapshots of volumes, oldest first")
    .argument("[volume]", "of this volume alone")
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const all = await dc.volumeSnapshots.list({ signal });
          const snapshots = all
            .filter(({ spec }) => args[0] === undefined || spec.volume === args[0])
            .map(({ metadata, spec, status }) => ({
              name: metadata.name,
              volume: spec.volume,
              ...status,
              takenAt: status.takenAt ?? metadata.createdAt,
            }))
            .sort((a, b) => a.takenAt - b.takenAt);
          terminal.result({ snapshots }, () => {
            if (snapshots.length === 0) return "There are no snapshots: 'vdc storage snapshot create --help'.";
            return formatTable(
              [
                { title: "SNAPSHOT" },
                { title: "VOLUME" },
                { title: "TAKEN (UTC)" },
                { title: "SIZE", align: "right" },
                { title: "OWN", align: "right" },
              ],
              snapshots.map(({ name, volume, takenAt, capacityBytes, exclusiveBytes }) => [
                terminal.style.bold(name),
                volume,
                formatTime(takenAt),
                sizeText(capacityBytes),
                sizeText(exclusiveBytes),
              ]),
              terminal.style.dim,
            );
          });
        }),
      ),
    );

  const snapshot = parent.command("snapshot").description("take, remove and go back to snapshots");
  snapshot
    .command("create")
    .description("keep what a volume holds now, also while a VM writes to it")
    .argument("<volume>", "the volume")
    .argument("<name>", "the snapshot's name")
    .addHelpText("after", examples([["vdc storage snapshot create disk before-upgrade", "a moment to go back to"]]))
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const volume = textArgument(args, 0);
          const name = textArgument(args, 1);
          await dc.volumes.get(volume, { signal });
          const { task } = await dc.volumeSnapshots.create({ name, spec: { volume } });
          const afterCancel = (undoing: AbortSignal) => dc.volumeSnapshots.deleteAndWait(name, { signal: undoing });
          const made = await finishTask(context, task, { label: `Taking '${name}'`, afterCancel });
          terminal.result(
            { snapshot: { name, volume, ...made.status } },
            () => `Snapshot '${name}' of volume '${volume}': ${sizeText(made.status.capacityBytes)}.`,
          );
        }),
      ),
    );
  snapshot
    .command("remove")
    .description("remove a snapshot")
    .argument("<name>", "the snapshot")
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const name = textArgument(args, 0);
          await dc.volumeSnapshots.get(name, { signal });
          const clones = (await dc.volumes.list({ signal })).filter(
            ({ spec: { content } }) => content.kind === "clone" && "snapshot" in content && content.snapshot === name,
          );
          const task = await dc.volumeSnapshots.delete(name);
          const label =
            clones.length === 0 ? `Removing '${name}'` : `Removing '${name}' (once its clones let go of it)`;
          await finishTask(context, task, { label });
          terminal.result({ removed: name }, () => `Snapshot '${name}' is removed.`);
        }),
      ),
    );
  snapshot
    .command("revert")
    .description("take a volume back to a snapshot; what was written since is lost")
    .argument("<name>", "the snapshot")
    .option("--yes", "yes, what was written since may be lost")
    .action(
      bind<{ yes?: boolean }>((context, { yes }, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const name = textArgument(args, 0);
          const { spec } = await dc.volumeSnapshots.get(name, { signal });
          if (yes !== true) {
            throw new VdcError(
              "FAILED_PRECONDITION",
              `what was written to volume '${spec.volume}' since snapshot '${name}' would be lost: say '--yes'`,
            );
          }
          const { task } = await dc.volumes.revert(spec.volume, { snapshot: name });
          await finishTask(context, task, { label: `Taking '${spec.volume}' back` });
          terminal.result(
            { reverted: { volume: spec.volume, snapshot: name } },
            () => `Volume '${spec.volume}' is as it was in snapshot '${name}'.`,
          );
        }),
      ),
    );
};
