import { randomBytes } from "node:crypto";
import { access, constants, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { Places } from "./places.ts";

/** Why QEMU can't be had on this machine; `undefined` when it can. */
export async function whyNoQemu(): Promise<string | undefined> {
  if (process.platform !== "linux")
    return `QEMU guests and their image are built on Linux, and this is ${process.platform}`;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const found = await access(join(folder, "qemu-system-x86_64"), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return undefined;
  }
  return "there is no qemu-system-x86_64; 'apt-get install qemu-system-x86' brings it";
}

/** The token of the external cloud's API: the same for as long as the datacenter is kept. */
export async function readCloudToken(places: Places): Promise<string> {
  const path = join(places.keys, "cloud.token");
  try {
    return await readFile(path, "utf8");
  } catch {
    const token = randomBytes(24).toString("base64url");
    await writeFile(path, token, { mode: 0o600 });
    return token;
  }
}
