import { open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Tells the temporary files of this process apart. */
let written = 0;

/** Replaces a file's content: after a crash at any instant it has the old content or the new one, and once this resolves the new one. Mode 0600. */
export async function writeFileAtomic(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}-${++written}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Removes what writers that were killed have left of {@link writeFileAtomic}. Nobody may be writing the file. A folder that is not there is fine. */
export async function removeUnfinishedWrites(path: string): Promise<void> {
  const folder = dirname(path);
  const names = await readdir(folder).catch((): string[] => []);
  for (const name of names) {
    const isOurs =
      name.startsWith(`${basename(path)}.`) && /^\d+-\d+\.tmp$/.test(name.slice(basename(path).length + 1));
    if (isOurs) await rm(join(folder, name), { force: true });
  }
}

/** Makes renames and removals in a folder outlive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
