import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root folder of the repository. */
export const root: string = fileURLToPath(new URL("../..", import.meta.url));

/** What `.gitignore` leaves out; git itself may be absent where a copy of the tree is tested. */
const ignored = /^(\.git|\.toolchain|\.cache|\.vdc|node_modules|dist|coverage)$|\/(node_modules|dist|\.vdc)$/;

/** Every file of the repository, as a path from the root. */
export function listFiles(folder: string = ""): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return ignored.test(path) ? [] : listFiles(path);
    return entry.isFile() && !path.endsWith(".tgz") ? [path] : [];
  });
}

export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** What a package may import is decided by its kind: the folder it is in. */
export type PackageKind =
  | "core"
  | "sdk"
  | "host"
  | "ready"
  | "api"
  | "api-client"
  | "format"
  | "protocol"
  | "plugin"
  | "guest-image"
  | "testing"
  | "cli"
  | "create-plugin"
  | "consumer";

export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

export interface WorkspacePackage {
  readonly directory: string;
  readonly kind: PackageKind;
  readonly manifest: Manifest;
  /** TypeScript files, as paths from the root. */
  readonly sources: readonly string[];
}

const kindsOfFolders: readonly (readonly [RegExp, PackageKind])[] = [
  [/^packages\/formats\/[^/]+$/, "format"],
  [/^packages\/protocols\/[^/]+$/, "protocol"],
  [/^packages\/plugins\/[^/]+$/, "plugin"],
  [/^packages\/(core|sdk|host|ready|api|api-client|guest-image|testing|cli|create-plugin)$/, "core"],
  [/^(examples\/[^/]+|tests)$/, "consumer"],
];

/** Reads every package of the workspace. A package in a place that has no rule yet is an error. */
export function readWorkspace(): readonly WorkspacePackage[] {
  const files = listFiles();
  return files
    .filter((path) => /^(packages|examples|tests)\/(.+\/)?package\.json$/.test(path) && !path.includes("/fixtures/"))
    .map((path) => {
      const directory = path.slice(0, -"/package.json".length);
      const isSource = (file: string): boolean => file.startsWith(`${directory}/`) && /\.[cm]?ts$/.test(file);
      return { directory, kind: kindOf(directory), manifest: JSON.parse(read(path)), sources: files.filter(isSource) };
    });
}

function kindOf(directory: string): PackageKind {
  for (const [pattern, kind] of kindsOfFolders) {
    const match = pattern.exec(directory);
    if (match === null) continue;
    return kind === "core" ? ((match[1] ?? kind) as PackageKind) : kind;
  }
  throw new Error(`There is no import rule for packages in '${directory}'; add one to tests/architecture.`);
}
