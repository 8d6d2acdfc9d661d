import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What a package of the tests has besides its manifest. */
export type PackageFiles = Readonly<Record<string, string>>;

const packages = fileURLToPath(new URL("../..", import.meta.url));

/** A plugin that keeps secrets in memory, and meets every requirement. `change` is code that changes its class. */
export function vaultPlugin(change = ""): string {
  return `import { definePlugin, provides } from "@vdc-os/core";
import { secretStore } from "@vdc-os/core/secret/v1";
import { MemorySecretStore } from "@vdc-os/ready/secret";
import { z } from "zod";
class Vault extends MemorySecretStore {}
export const kept = new Map();
${change}
export default definePlugin({
  name: "@acme/vdc-vault", version: "1.2.0", core: "0.1", summary: "A vault.",
  provides: [provides(secretStore, { name: "vault" })],
  config: z.object({ id: z.string() }),
  setup(context, { id }) {
    const vault = new Vault(kept.get(id));
    context.provide(secretStore, vault, { name: "vault" });
    context.defer("keep", () => void kept.set(id, vault));
  },
});
`;
}

/** The factory of that plugin: it starts the plugin as a datacenter does. */
export const vaultFactory = `import { secretStore } from "@vdc-os/core/secret/v1";
export async function create(kit) {
  const config = { id: kit.folder() };
  const first = await kit.start(secretStore, { config });
  return {
    implementation: first.implementation,
    async restart() {
      await first.stop();
      return (await kit.start(secretStore, { config })).implementation;
    },
  };
}
`;

/** An author's folder, with a package in it, and what it depends on. */
export class PluginProject {
  readonly folder: string = mkdtempSync(join(tmpdir(), "vdc-ready-project-"));

  constructor(files: PackageFiles = {}, manifest: object = {}) {
    const modules = join(this.folder, "node_modules");
    mkdirSync(join(modules, "@vdc-os"), { recursive: true });
    for (const name of ["core", "ready"]) symlinkSync(join(packages, name), join(modules, "@vdc-os", name));
    symlinkSync(join(packages, "core/node_modules/zod"), join(modules, "zod"));
    this.write({
      "package.json": JSON.stringify({
        name: "@acme/vdc-vault",
        version: "1.2.0",
        type: "module",
        exports: {
          ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
          "./package.json": "./package.json",
        },
        vdcReady: { secret: "./dist/certification.js" },
        ...manifest,
      }),
      "dist/index.js": vaultPlugin(),
      "dist/certification.js": vaultFactory,
      ...files,
    });
  }

  write(files: PackageFiles): void {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      writeFileSync(join(this.folder, path), text);
    }
  }

  /** Packs the package as `npm pack` does. Returns the tarball's name. */
  pack(name = "acme-vdc-vault-1.2.0.tgz"): string {
    const files = ["package.json", "dist"];
    execFileSync("tar", ["--transform", "s,^,package/,", "-czf", name, ...files], { cwd: this.folder });
    return name;
  }

  /** Installs a tarball of the package as an installer does. Returns the folder. */
  install(tarball: string): string {
    const folder = join(this.folder, "node_modules/@acme/vdc-vault");
    mkdirSync(folder, { recursive: true });
    execFileSync("tar", ["--strip-components=1", "-xzf", tarball, "-C", folder], { cwd: this.folder });
    mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
    return folder;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
