import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

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

/** Makes renames and removals in a folder outlive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
