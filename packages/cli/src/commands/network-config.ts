import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { VdcError } from "@vdc-os/core";
import type { SwitchArchive, SwitchInput } from "@vdc-os/sdk";
import { finishTask } from "../datacenter/finish-task.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { type AddCommands, type CommandContext, examples, textArgument } from "./command-context.ts";
import { intervalOption } from "./networks.ts";

/** `vdc network export|import|apply|confirm|rollback`. */
export const addNetworkConfigCommands: AddCommands = (parent, bind) => {
  parent
    .command("export")
    .description("write a switch's configuration as JSON")
    .argument("<switch>", "its name")
    .argument("[file]", "where to. Default: standard output")
    .addHelpText("after", examples([["vdc network export prod prod.json", "to keep, or to change and apply"]]))
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal, cwd } = context;
          const name = textArgument(args, 0);
          const archive = await dc.switches.exportConfig(name, { signal });
          const text = JSON.stringify(archive, undefined, 2);
          const [, file] = args;
          if (typeof file === "string") await writeFile(resolve(cwd, file), `${text}\n`);
          terminal.result({ archive }, () =>
            typeof file === "string" ? `The configuration of switch '${name}' is in '${file}'.` : text,
          );
        }),
      ),
    );
  parent
    .command("import")
    .description("make a switch of an exported configuration")
    .argument("<file>", "what 'export' wrote")
    .option("--as <name>", "under another name")
    .option("--overwrite", "change a switch that is there")
    .addHelpText("after", examples([["vdc network import prod.json --as staging", "a second switch like it"]]))
    .action(
      bind<{ as?: string; overwrite?: boolean }>(async (context, { as, overwrite = false }, args) => {
        const file = textArgument(args, 0);
        const read = await readJson(context, file);
        if (!isArchive(read)) throw usageError(`'${file}' is not what 'vdc network export' writes`);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const name = as ?? read.name;
          const { task, created } = await dc.switches.importConfig(read, { as: name, overwrite, signal });
          await finishTask(context, task, { label: `Switch '${name}'`, about: { dc, name } });
          terminal.result({ switch: name, created }, () => `Switch '${name}' is ${created ? "there" : "changed"}.`);
        });
      }),
    );
  parent
    .command("apply")
    .description(
      "change a switch to what a file says; with --confirm-within it takes itself back unless it is confirmed",
    )
    .argument("<switch>", "its name")
    .argument("<file>", "a spec as JSON, or what 'export' wrote")
    .option("--confirm-within <seconds>", "on trial for so long")
    .addHelpText(
      "after",
      examples([
        ["vdc network apply prod prod.json --confirm-within 60", "then look, and:"],
        ["vdc network confirm prod", "keep it; without this it is taken back after a minute"],
      ]),
    )
    .action(
      bind<{ confirmWithin?: string }>(async (context, { confirmWithin }, args) => {
        const [name, file] = [textArgument(args, 0), textArgument(args, 1)];
        const confirmWithinMs = confirmWithin === undefined ? undefined : intervalOption(confirmWithin);
        if (confirmWithinMs === 0) throw usageError("'--confirm-within' needs at least a moment");
        const read = await readJson(context, file);
        const spec = (isArchive(read) ? read.spec : read) as SwitchInput;
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          if (confirmWithinMs === undefined) {
            const { task } = await dc.switches.update(name, spec, { signal });
            await finishTask(context, task, { label: `Switch '${name}'`, about: { dc, name } });
            terminal.result({ switch: name, onTrial: false }, () => `Switch '${name}' is changed.`);
            return;
          }
          const { deadline, generation } = await dc.switches.applyOnTrial(name, spec, { confirmWithinMs, signal });
          const until = new Date(deadline).toISOString();
          terminal.result({ switch: name, onTrial: true, until, generation }, () =>
            [
              `Switch '${name}' is on trial until ${until.slice(11, 19)} UTC.`,
              `Keep it:      vdc network confirm ${name}`,
              `Take it back: vdc network rollback ${name}`,
            ].join("\n"),
          );
        });
      }),
    );
  parent
    .command("confirm")
    .description("keep what is on trial")
    .argument("<switch>", "its name")
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const name = textArgument(args, 0);
          await dc.switches.confirmTrial(name, { signal: context.signal });
          context.terminal.result(
            { switch: name, confirmed: true },
            () => `What was on trial of switch '${name}' is kept.`,
          );
        }),
      ),
    );
  parent
    .command("rollback")
    .description("take back what is on trial, at once")
    .argument("<switch>", "its name")
    .action(
      bind((context, _options, args) =>
        withDatacenter(context, async (dc) => {
          const name = textArgument(args, 0);
          await dc.switches.rollbackTrial(name, { signal: context.signal });
          context.terminal.result({ switch: name, rolledBack: true }, () => `Switch '${name}' is as it was.`);
        }),
      ),
    );
};

async function readJson({ cwd }: CommandContext, file: string): Promise<unknown> {
  const text = await readFile(resolve(cwd, file), "utf8");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new VdcError("INVALID_ARGUMENT", `'${file}' is no JSON: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

function isArchive(value: unknown): value is SwitchArchive {
  const { format, name, spec } = (value ?? {}) as Partial<Record<keyof SwitchArchive, unknown>>;
  return format === "vdc.switch.config/1" && typeof name === "string" && typeof spec === "object" && spec !== null;
}
