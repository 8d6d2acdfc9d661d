import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { VdcError } from "@vdc-os/core";
import { configTemplate, templatePackages } from "../config/config-template.ts";
import { configNames } from "../config/load-config.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { type AddCommands, examples } from "./command-context.ts";

/** `vdc init` and `vdc destroy`. */
export const addLifeCommands: AddCommands = (parent, bind) => {
  parent
    .command("init")
    .description("write a config for a datacenter in this folder: thin storage, clones, a host, backup")
    .option("--js", "write vdc.config.mjs instead of vdc.config.mts")
    .addHelpText("after", examples([["vdc init && vdc storage pools", "from nothing to a datacenter"]]))
    .action(
      bind<{ js?: boolean }>(async ({ terminal, cwd }, { js }) => {
        const name = js === true ? "vdc.config.mjs" : "vdc.config.mts";
        const path = join(cwd, name);
        const there = configNames.map((each) => join(cwd, each)).find((each) => existsSync(each));
        if (there !== undefined) {
          throw new VdcError("ALREADY_EXISTS", `'${there}' is there already: change it, or remove it first`);
        }
        await writeFile(path, configTemplate, { flag: "wx" });
        const missing = missingPackages(cwd);
        terminal.result({ config: path, missingPackages: missing }, () => {
          const install = missing.length === 0 ? "" : `\nInstall what it needs: npm install ${missing.join(" ")}`;
          return `'${name}' says what is in the datacenter.${install}\nThen: vdc storage pools`;
        });
      }),
    );
  parent
    .command("destroy")
    .description("remove the datacenter: its VMs, volumes and processes; not its backup repository")
    .option("--yes", "yes, all of it")
    .action(
      bind<{ yes?: boolean }>((context, { yes }) => {
        if (yes !== true) {
          throw new VdcError(
            "FAILED_PRECONDITION",
            "all volumes and VMs of the datacenter would be removed: say '--yes'",
          );
        }
        return withDatacenter(context, async (dc) => {
          const { name, directory } = dc;
          await context.terminal.progress("Removing the datacenter", () => dc.destroy());
          context.terminal.result(
            { destroyed: { name, directory } },
            () => `The datacenter in '${directory}' is gone.`,
          );
        });
      }),
    );
};

/** Packages of the written config that can't be found from a folder. */
function missingPackages(folder: string): readonly string[] {
  const { resolve: find } = createRequire(resolve(folder, "vdc.config.mts"));
  return templatePackages.filter((name) => {
    try {
      find(`${name}/package.json`);
      return false;
    } catch {
      return true;
    }
  });
}
