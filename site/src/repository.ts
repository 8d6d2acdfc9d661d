import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The repository that the site tells of. */
export interface Repository {
  readonly root: string;
  /** The URL before the path of a file, with a slash at its end. Undefined when no manifest names a repository. */
  readonly filesUrl: string | undefined;
  /** Where a file can be read. Undefined when no manifest names a repository. */
  urlOf(path: string): string | undefined;
  /** Whether there is such a file or folder. */
  has(path: string): boolean;
}

/** Reads `repository` of the root's manifest or, where it has none, of the core package's. */
export function openRepository(root: string): Repository {
  const url = ["package.json", "packages/core/package.json"]
    .map((path) => repositoryUrl(join(root, path)))
    .find(Boolean);
  const filesUrl = url === undefined ? undefined : `${url}/blob/main/`;
  return {
    root,
    filesUrl,
    urlOf: (path) =>
      filesUrl === undefined ? undefined : filesUrl + path.split("/").map(encodeURIComponent).join("/"),
    has: (path) => existsSync(join(root, path)),
  };
}

function repositoryUrl(manifestPath: string): string | undefined {
  if (!existsSync(manifestPath)) return undefined;
  const { repository } = JSON.parse(readFileSync(manifestPath, "utf8"));
  const url: unknown = typeof repository === "string" ? repository : repository?.url;
  if (typeof url !== "string") return undefined;
  const clean = url.replace(/^git\+/, "").replace(/\.git$/, "");
  return clean.startsWith("https://") ? clean : undefined;
}
