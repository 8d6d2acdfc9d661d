import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root folder of the repository. */
export const rootDirectory = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Where the pinned Node.js and pnpm live; ignored by git. */
export const toolchainDirectory = join(rootDirectory, ".toolchain");

/** Reports and other files that may be deleted at any time; ignored by git. */
export const cacheDirectory = join(rootDirectory, ".cache");
