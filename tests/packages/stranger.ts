import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../architecture/source-tree.ts";
import { packedPackages } from "./packed-packages.ts";
import { type ProgramResult, runProgram } from "./run-program.ts";
import { task } from "./run-task.ts";

/** A published package, as it was installed. */
export interface InstalledPackage {
  readonly name: string;
  readonly tarball: string;
  readonly directory: string;
  readonly manifest: PublishedManifest;
}

/** What the tests read of a published package.json. */
export interface PublishedManifest {
  readonly version: string;
  readonly engines?: { readonly node?: string };
  readonly exports?: Readonly<Record<string, string | { readonly types?: string; readonly default?: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** A stranger's folder, with every published package installed from its tarball, and nothing of this repository but TypeScript. */
export class Stranger {
  readonly directory: string;
  readonly packages: readonly InstalledPackage[];
  readonly #place: string;

  private constructor(place: string, packages: readonly InstalledPackage[]) {
    this.#place = place;
    this.directory = join(place, "app");
    this.packages = packages;
  }

  /** Installs what was packed. */
  static async arrive(): Promise<Stranger> {
    const place = await mkdtemp(join(tmpdir(), "vdc-packages-"));
    try {
      const packed = await packedPackages();
      const app = join(place, "app");
      await task("install-packed", [app, ...packed.map(({ tarball }) => tarball)]);
      const packages = packed.map(async ({ name, tarball }) => {
        const directory = join(app, "node_modules", name);
        const manifest = JSON.parse(await readFile(join(directory, "package.json"), "utf8")) as PublishedManifest;
        return { name, tarball, directory, manifest };
      });
      await mkdir(join(app, "node_modules/@types"), { recursive: true });
      await symlink(join(root, "node_modules/@types/node"), join(app, "node_modules/@types/node"), "dir");
      return new Stranger(place, await Promise.all(packages));
    } catch (error) {
      await rm(place, { recursive: true, force: true });
      throw error;
    }
  }

  /** Every module that can be imported, and its package. */
  entries(): readonly { readonly specifier: string; readonly types: string; readonly code: string }[] {
    return this.packages.flatMap(({ name, directory, manifest }) =>
      Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) => {
        if (typeof target === "string") return [];
        const { types = "", default: code = "" } = target;
        return [{ specifier: join(name, subpath), types: join(directory, types), code: join(directory, code) }];
      }),
    );
  }

  write(path: string, text: string): Promise<void> {
    return writeFile(join(this.directory, path), text);
  }

  /** Compiles TypeScript as strictly as anyone may, with no folder or setting of this repository. Returns what is wrong. */
  async compile(files: readonly string[]): Promise<string> {
    const compilerOptions = {
      target: "es2022",
      module: "nodenext",
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
      skipLibCheck: false,
      types: ["node"],
    };
    await this.write("tsconfig.json", JSON.stringify({ compilerOptions, files }));
    const { code, stdout, stderr } = await this.run(process.execPath, [join(root, "node_modules/typescript/bin/tsc")]);
    return code === 0 ? "" : `${stdout}${stderr}`;
  }

  run(file: string, args: readonly string[]): Promise<ProgramResult> {
    return runProgram(file, args, { cwd: this.directory });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#place, { recursive: true, force: true });
  }
}
