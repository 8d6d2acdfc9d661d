import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "../architecture/source-tree.ts";

const manifest = {
  name: "@acme/vdc-vault",
  version: "1.2.0",
  type: "module",
  exports: { ".": "./dist/index.js", "./package.json": "./package.json" },
  vdcReady: { secret: "./dist/certification.js" },
};

const plugin = `import { definePlugin, provides } from "@vdc-os/core";
import { secretStore } from "@vdc-os/core/secret/v1";
import { MemorySecretStore } from "@vdc-os/ready/secret";
import { z } from "zod";
const kept = new Map();
export default definePlugin({
  name: "@acme/vdc-vault", version: "1.2.0", core: "0.1", summary: "A vault.",
  provides: [provides(secretStore, { name: "vault" })],
  config: z.object({ id: z.string() }),
  setup(context, { id }) {
    const vault = new MemorySecretStore(kept.get(id));
    context.provide(secretStore, vault, { name: "vault" });
    context.defer("keep", () => void kept.set(id, vault));
  },
});
`;

const certification = `import { secretStore } from "@vdc-os/core/secret/v1";
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

/** An author's folder with the package of a vault in it, and with what it depends on. */
export class VaultProject implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "vdc-vault-"));

  constructor() {
    const modules = join(this.folder, "node_modules");
    mkdirSync(join(modules, "@vdc-os"), { recursive: true });
    for (const name of ["core", "ready"]) symlinkSync(join(root, "packages", name), join(modules, "@vdc-os", name));
    symlinkSync(join(root, "packages/core/node_modules/zod"), join(modules, "zod"));
    const files = {
      "package.json": JSON.stringify(manifest),
      "dist/index.js": plugin,
      "dist/certification.js": certification,
    };
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      writeFileSync(join(this.folder, path), text);
    }
  }

  /** Packs it as npm does. Returns the tarball's name. */
  pack(): string {
    const name = "acme-vdc-vault-1.2.0.tgz";
    const args = ["--transform", "s,^,package/,", "-czf", name, "package.json", "dist"];
    execFileSync("tar", args, { cwd: this.folder });
    return name;
  }

  /** Installs the tarball as an installer does. Returns the folder. */
  install(tarball: string): string {
    const folder = join(this.folder, "node_modules/@acme/vdc-vault");
    mkdirSync(folder, { recursive: true });
    execFileSync("tar", ["--strip-components=1", "-xzf", tarball, "-C", folder], { cwd: this.folder });
    return folder;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
