import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { type GuestImage, writeDataDisk } from "@vdc-os/guest-image";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import { simulatedHost, SimulatedWorld, simulator } from "@vdc-os/plugin-simulator";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { createDatacenter, type Datacenter } from "@vdc-os/sdk";
import { createGoldenImage, goldenImage } from "./golden-image.ts";
import type { Progress } from "./progress.ts";
import { formatResult, readResult } from "./result.ts";
import { runScenario } from "./scenario.ts";

/** Options of {@link runSimulated}. */
export interface SimulatedOptions {
  /** Why there are no real virtual machines. */
  readonly why: string;
  /** Prints the result as JSON. */
  readonly json: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const MiB = 1024 * 1024;

/** The same scenario where QEMU can't be had: the manager, its state and its decisions are real, and everything outside it is simulated. */
export async function runSimulated({ why, json, progress, signal }: SimulatedOptions): Promise<void> {
  progress.say(
    `VDC-OS: a SIMULATED virtual datacenter (${why}). No virtual machine runs, and the times are not measurements.\n`,
  );
  const directory = await mkdtemp(join(tmpdir(), "vdc-simulated-"));
  let dc: Datacenter | undefined;
  try {
    dc = await openSimulated(join(directory, "dc"), directory, signal);
    const guest = await writeGuest(directory);
    await createGoldenImage(dc, guest, signal);
    const measured = await runScenario({ dc, progress, cloud: true, signal });
    const result = await readResult(dc, measured, signal);
    if (json) process.stdout.write(`${JSON.stringify({ simulated: true, ...result }, undefined, 2)}\n`);
    else progress.say(`\n${formatResult(result)}\n\n  All of this was simulated: ${why}.`);
  } finally {
    await dc?.close();
    await rm(directory, { recursive: true, force: true });
    progress.end();
  }
}

function openSimulated(directory: string, keys: string, signal: AbortSignal): Promise<Datacenter> {
  const world = new SimulatedWorld({ cloud: { images: [{ imageId: goldenImage, name: goldenImage }] } });
  const one = (point: "storage" | "network" | "cloud", name: string) => {
    const plugin = simulator({ world, points: [point], hosts: [] });
    return use(plugin, { id: `simulator/${name}`, config: { name } });
  };
  return createDatacenter({
    directory,
    name: "simulated",
    mode: "ephemeral",
    plugins: [
      use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
      use(fileSecretStore, {
        config: { path: join(directory, "secrets"), keyFile: join(keys, "secrets.key"), createKeyFile: true },
      }),
      one("storage", "storage"),
      one("network", "network"),
      one("cloud", "outside"),
    ],
    hosts: ["alpha", "beta"].map((name) => simulatedHost({ world, name })),
    signal,
  });
}

/** What stands for the guest: a data disk, and the names of files that nobody boots. */
async function writeGuest(directory: string): Promise<GuestImage> {
  const dataDisk = join(directory, "data.raw");
  await writeDataDisk(dataDisk, { length: 64 * MiB, name: "simulated", files: [] });
  return {
    kernel: "/simulated/kernel",
    kernelFormat: "elf",
    initrd: "/simulated/initrd",
    dataDisk,
    commandLine: "",
    version: "simulated",
    packages: [],
  };
}
