import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * A JSON file that is replaced as a whole. A reader sees the old or the new content, also after `kill -9`. It is not flushed to the
 * disk: what it holds is worth nothing after the machine went down, since the VMs went with it.
 */
export class StateFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The content; undefined when there is none, or none that can be read. */
  async read(): Promise<unknown> {
    try {
      return JSON.parse(await readFile(this.#path, "utf8"));
    } catch {
      return undefined;
    }
  }

  async write(content: unknown): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const next = `${this.#path}.next`;
    await writeFile(next, JSON.stringify(content), { mode: 0o600 });
    await rename(next, this.#path);
  }
}
