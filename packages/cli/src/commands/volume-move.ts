import { VdcError } from "@vdc-os/core";
import { hypervisor } from "@vdc-os/core/compute/v1";
import type { Datacenter } from "@vdc-os/sdk";
import { finishTask } from "../datacenter/finish-task.ts";
import { presentVolume, storageOf } from "../datacenter/storage-access.ts";
import { storageNameOf } from "../datacenter/volume-object.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { formatDuration } from "../terminal/duration.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";

/** `vdc storage volume move`: Storage VMotion. */
export const addMoveCommand: AddCommands = (parent, bind) => {
  parent
    .command("move")
    .description("move a volume to another pool, also while a VM writes to it")
    .argument("<name>", "the volume")
    .requiredOption("--to <storage>", "the pool to move it to")
    .addHelpText(
      "after",
      `
Ctrl-C takes it back: the volume stays where it was, and nothing is lost. A move whose command was killed goes on when
the same command is given again.
${examples([["vdc storage volume move disk --to fast", "to pool 'fast'"]])}`,
    )
    .action(
      bind<{ to: string }>((context, { to }, args) => {
        const name = textArgument(args, 0);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { object, storage, volumeId } = await presentVolume(dc, name, signal);
          storageOf(dc, to);
          if (dc.kernel.all(hypervisor).names().length === 0) {
            throw new VdcError(
              "FAILED_PRECONDITION",
              "no host of the datacenter has a hypervisor, which would copy the volume: add '@vdc-os/plugin-qemu' to a host's plugins",
            );
          }
          const from = storageNameOf(object);
          const began = performance.now();
          const { capacityBytes } = await storage.getVolume({ volumeId }, { signal });
          const { task } = await dc.volumes.update(name, ({ spec: { policy: _, ...spec } }) => ({
            ...spec,
            storage: to,
          }));
          const moved = await finishTask(context, task, {
            label: `Moving '${name}' to '${to}'`,
            totalBytes: capacityBytes,
            about: { dc, name },
            afterCancel: (undoing) => moveIsOver(dc, name, undoing),
          });
          const durationMs = Math.round(performance.now() - began);
          const now = storageNameOf(moved);
          terminal.result({ move: { volume: name, from, to: now, capacityBytes, durationMs } }, () =>
            from === to
              ? `Volume '${name}' is on '${to}' already.`
              : `Volume '${name}' moved from '${from}' to '${now}': ${formatByteSize(capacityBytes)} in ${formatDuration(durationMs)}.`,
          );
        });
      }),
    );
};

/** Resolves when nothing of a move is left. */
async function moveIsOver(dc: Datacenter, name: string, signal: AbortSignal): Promise<void> {
  const changes = dc.volumes.watch({ signal })[Symbol.asyncIterator]();
  try {
    // What happens from here on is seen by the watch.
    let next = changes.next();
    while ((await dc.volumes.find(name, { signal }))?.status.move !== undefined) {
      if ((await next).done === true) return;
      next = changes.next();
    }
    next.catch(() => {});
  } finally {
    void changes.return?.().catch(() => {});
  }
}
