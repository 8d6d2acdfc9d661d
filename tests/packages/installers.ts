import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CleanMachine } from "./clean-machine.ts";
import type { ProgramResult } from "./run-program.ts";
import { task } from "./run-task.ts";

/** What the users of the published packages may have, in the versions that scripts/toolchain/package-users pins. */
export interface PackageUsers {
  readonly pnpm: string;
  readonly yarn: string;
  readonly berry: string;
  readonly typescripts: readonly { readonly version: string; readonly tsc: string }[];
}

export async function packageUsers(): Promise<PackageUsers> {
  return JSON.parse((await task("package-users")).trim().split("\n").at(-1) ?? "") as PackageUsers;
}

/** Where a program is to be installed. */
export interface InstallOptions {
  readonly machine: CleanMachine;
  readonly users: PackageUsers;
  readonly cwd: string;
  readonly node: string;
}

/** An installer as a user runs it. */
export interface Installer {
  readonly name: InstallerName;
  readonly install: (options: InstallOptions) => Promise<ProgramResult>;
}

export type InstallerName = "npm" | "pnpm" | "yarn" | "yarn 4";

export const installers: readonly Installer[] = [
  {
    name: "npm",
    install: ({ machine, cwd, node }) => machine.npm(["install", "--loglevel=error"], { cwd, node }),
  },
  {
    name: "pnpm",
    // What users of pnpm are told: koffi brings its binaries for most platforms, and pnpm asks whether it may compile one for others.
    install: async ({ machine, users, cwd, node }) => {
      await writeFile(join(cwd, "pnpm-workspace.yaml"), "allowBuilds:\n  koffi: false\n");
      return machine.start(users.pnpm, ["install", "--prefer-offline", "--reporter=append-only"], { cwd, node });
    },
  },
  {
    name: "yarn",
    install: ({ machine, users, cwd, node }) =>
      machine.run(users.yarn, ["install", "--non-interactive", "--no-progress"], { cwd, node }),
  },
  {
    name: "yarn 4",
    install: async ({ machine, users, cwd, node }) => {
      const settings = {
        // Plug'n'Play puts a file system of its own before Node.js', which can't sync a file to the disk.
        nodeLinker: "node-modules",
        enableGlobalCache: false,
        unsafeHttpWhitelist: ["127.0.0.1", "localhost"],
        npmRegistryServer: machine.publicRegistry,
        npmScopes: { "vdc-os": { npmRegistryServer: machine.registry.url } },
      };
      // JSON is YAML.
      await writeFile(join(cwd, ".yarnrc.yml"), JSON.stringify(settings));
      await writeFile(join(cwd, "yarn.lock"), "");
      return machine.run(users.berry, ["install"], { cwd, node });
    },
  },
];

/** Makes a folder with a program that depends on packages of ours. */
export async function writeProgram(
  cwd: string,
  dependencies: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  await mkdir(cwd, { recursive: true });
  const manifest = { name: "program", version: "1.0.0", private: true, type: "module", dependencies };
  for (const [path, text] of Object.entries({ "package.json": JSON.stringify(manifest), ...files })) {
    await writeFile(join(cwd, path), text);
  }
}
