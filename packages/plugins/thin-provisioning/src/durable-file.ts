import { open, rename } from "node:fs/promises";

/** Makes the content of a file or the entries of a folder durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a new file and makes its content durable; its name is so after {@link syncPath} of the folder. */
export async function writeNewFile(path: string, text: string): Promise<void> {
  const handle = await open(path, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces a file: after a crash it has the old content or the new one. Durable when it resolves. One call for a path at a time. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const next = `${path}.next`;
  await writeNewFile(next, text);
  await rename(next, path);
  await syncPath(path.slice(0, path.lastIndexOf("/")));
}

/**
 * Makes a folder's entries durable for many callers at once: those that ask while a sync runs share the next one, which begins after
 * their change.
 */
export class FolderSync {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  #start(): Promise<void> {
    const running = syncPath(this.#path).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
