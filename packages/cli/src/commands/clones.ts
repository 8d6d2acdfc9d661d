import type { Datacenter, VolumeContent } from "@vdc-os/sdk";
import { VdcError } from "@vdc-os/core";
import { finishTask } from "../datacenter/finish-task.ts";
import { facetOf, presentVolume } from "../datacenter/storage-access.ts";
import { storageNameOf, type VolumeObject } from "../datacenter/volume-object.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { formatDuration } from "../terminal/duration.ts";
import { type AddCommands, type CommandContext, examples, textArgument } from "./command-context.ts";
import { sizeText, volumeView } from "./volume-text.ts";

/** How many clones are made at once. */
const atOnce = 8;

/** `vdc storage clone`. */
export const addCloneCommand: AddCommands = (parent, bind) => {
  parent
    .command("clone")
    .description("make volumes with the content of a volume or a snapshot")
    .argument("<source>", "the volume; or the snapshot")
    .argument("<name>", "the clone's name; with --count, how the names begin")
    .option("--full", "copy everything, so that the clone shares nothing")
    .option("--count <number>", "this many clones: NAME-1, NAME-2, ...")
    .option("--snapshot", "the source is a snapshot; needed where a volume has that name too")
    .addHelpText(
      "after",
      examples([
        ["vdc storage clone golden web-1", "a linked clone: a few KiB, at once"],
        ["vdc storage clone golden desktop --count 50", "desktop-1 to desktop-50"],
        ["vdc storage clone golden copy --full", "one that shares nothing"],
      ]),
    )
    .action(
      bind<{ full?: boolean; count?: string; snapshot?: boolean }>((context, { full, count, snapshot }, args) => {
        const source = textArgument(args, 0);
        const names = namesOf(textArgument(args, 1), count);
        const want = full === true ? "full" : "linked";
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const { storage, content } = await sourceOf(dc, source, { want, snapshot: snapshot === true, signal });
          const began = performance.now();
          const spec = { storage, content };
          const clones = await cloneAll(dc, context, names, spec);
          const durationMs = Math.round(performance.now() - began);
          const volumes = clones.map((clone) => volumeView(clone, undefined));
          terminal.result({ volumes, durationMs }, () => {
            const [first] = volumes;
            const what = `${first?.cloneKind ?? want} clone${volumes.length === 1 ? "" : "s"} of '${source}'`;
            const which = volumes.length === 1 ? `'${first?.name}'` : `'${first?.name}' to '${volumes.at(-1)?.name}'`;
            return `${volumes.length} ${what}, ${sizeText(first?.capacityBytes)}: ${which} (${formatDuration(durationMs)}).`;
          });
        });
      }),
    );
};

/** `vdc storage flatten|promote`. */
export const addLineageCommands: AddCommands = (parent, bind) => {
  const add = (verb: "flatten" | "promote", description: string, label: string, done: string): void => {
    parent
      .command(verb)
      .description(description)
      .argument("<volume>", "the clone")
      .action(
        bind((context, _options, args) =>
          withDatacenter(context, async (dc) => {
            const { terminal, signal } = context;
            const name = textArgument(args, 0);
            const { object, storage, volumeId } = await presentVolume(dc, name, signal);
            const { capacityBytes } = await storage.getVolume({ volumeId }, { signal });
            const lineage = await facetOf(storage, "lineage", signal);
            const after = await terminal.progress(
              `${label} '${name}'`,
              ({ update }) => lineage[verb]({ volumeId }, { signal, onProgress: update }),
              { totalBytes: capacityBytes },
            );
            const { depth } = await lineage.getLineage({ volumeId }, { signal });
            const volume = { ...volumeView(object, after), depth };
            terminal.result(
              { volume },
              () => `Volume '${name}' ${done}: ${sizeText(after.allocatedBytes)} of its own.`,
            );
          }),
        ),
      );
  };
  add(
    "flatten",
    "make a linked clone stand alone, while it is used; Ctrl-C loses nothing",
    "Flattening",
    "stands alone",
  );
  add("promote", "free a linked clone from its parent, which can then go", "Promoting", "needs its parent no more");
};

function namesOf(name: string, count: string | undefined): readonly string[] {
  if (count === undefined) return [name];
  const number = Number(count);
  if (!Number.isInteger(number) || number < 1 || number > 10_000)
    throw usageError(`'--count ${count}': say 1 to 10000`);
  return Array.from({ length: number }, (_, index) => `${name}-${index + 1}`);
}

async function sourceOf(
  dc: Datacenter,
  source: string,
  options: { readonly want: "linked" | "full"; readonly snapshot: boolean; readonly signal: AbortSignal },
): Promise<{ readonly storage: string; readonly content: VolumeContent }> {
  const { want, signal } = options;
  const volume = options.snapshot ? undefined : await dc.volumes.find(source, { signal });
  if (volume !== undefined) {
    const storage = storageNameOf(volume);
    if (storage !== undefined) return { storage, content: { kind: "clone", volume: source, want } };
  }
  const snapshot = await dc.volumeSnapshots.find(source, { signal });
  if (snapshot?.status.storage !== undefined) {
    return { storage: snapshot.status.storage, content: { kind: "clone", snapshot: source, want } };
  }
  throw new VdcError(
    "NOT_FOUND",
    `there is no ${options.snapshot ? "" : "volume or "}snapshot '${source}' that can be cloned`,
  );
}

/** Makes all clones, or none: when one fails or the user interrupts, those that this call made are removed again. */
async function cloneAll(
  dc: Datacenter,
  context: CommandContext,
  names: readonly string[],
  spec: { readonly storage: string; readonly content: VolumeContent },
): Promise<readonly VolumeObject[]> {
  const made: string[] = [];
  const clones: VolumeObject[] = [];
  const { terminal, signal } = context;
  try {
    if (names.length === 1) {
      const name = names[0] ?? "";
      const { task, created } = await dc.volumes.create({ name, spec });
      if (created) made.push(name);
      return [await finishTask(context, task, { label: `Cloning into '${name}'` })];
    }
    return await terminal.progress(`Cloning into ${names.length} volumes`, async ({ update }) => {
      const waiting = [...names.entries()];
      const work = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          signal.throwIfAborted();
          const [index, name] = next;
          const { task, created } = await dc.volumes.create({ name, spec });
          if (created) made.push(name);
          clones[index] = await task.wait({ signal });
          update({ fraction: clones.filter(Boolean).length / names.length });
        }
      };
      const results = await Promise.allSettled(Array.from({ length: atOnce }, work));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      return clones;
    });
  } catch (error) {
    const undoing = AbortSignal.timeout(30_000);
    for (const name of made) await dc.volumes.deleteAndWait(name, { signal: undoing }).catch(() => {});
    throw error;
  }
}
