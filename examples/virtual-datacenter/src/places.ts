import { lstat, mkdir } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** Where the example keeps things. */
export interface Places {
  /** The datacenter's folder. Short, since Unix sockets lie in it. */
  readonly datacenter: string;
  /** The folder of the datacenter that stands for the external cloud. */
  readonly cloud: string;
  /** The key of the secrets, apart from them. */
  readonly keys: string;
  /** What need not be built again. */
  readonly cache: string;
}

/** The folders of a kept datacenter, or of one that is built and removed. They belong to this user alone. */
export async function findPlaces(keep: boolean): Promise<Places> {
  const { uid, username } = userInfo();
  const root = join(tmpdir(), `vdc-${uid < 0 ? username : uid}`);
  await mkdir(root, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const found = await lstat(root);
  if (!found.isDirectory() || (uid >= 0 && found.uid !== uid)) {
    throw new Error(`'${root}' is not a folder of yours: remove it, or set TMPDIR to another place`);
  }
  const base = join(root, keep ? "kept" : "run");
  await mkdir(base, { recursive: true, mode: 0o700 });
  return {
    datacenter: join(base, "dc"),
    cloud: join(base, "cloud"),
    keys: join(base, "keys"),
    cache: join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "vdc-os"),
  };
}
