import { existsSync } from "node:fs";
import { mkdir, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isVdcError, toVdcError, VdcError } from "@vdc-os/core";
import { use } from "@vdc-os/core/kernel";
import { type ProcessLock, takeProcessLock } from "@vdc-os/core/remote";
import { buildGuestImage, type GuestImage } from "@vdc-os/guest-image";
import externalCloudPlugin from "@vdc-os/plugin-external-cloud";
import type { Datacenter } from "@vdc-os/sdk";
import { type Arguments, readArguments, usage } from "./arguments.ts";
import { type ExternalCloud, removeExternalCloud, startExternalCloud } from "./external-cloud.ts";
import { createGoldenImage } from "./golden-image.ts";
import { readCloudToken, whyNoQemu } from "./host-tools.ts";
import { openDatacenter } from "./open-datacenter.ts";
import { findPlaces, type Places } from "./places.ts";
import { Progress, seconds } from "./progress.ts";
import { formatResult, readResult } from "./result.ts";
import { runScenario } from "./scenario.ts";
import { runSimulated } from "./simulated.ts";

const cloudTokenName = "outside-token";

async function main(): Promise<void> {
  let asked: Arguments | undefined;
  try {
    asked = readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}\n`);
    process.exitCode = 2;
    return;
  }
  if (asked === undefined) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  const interrupt = new AbortController();
  const onSignal = (): void => {
    // The second time there is no waiting.
    if (interrupt.signal.aborted) process.exit(130);
    interrupt.abort(new Error("interrupted"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // With --json, standard output is for the result alone.
  const progress = new Progress(asked.json ? process.stderr : process.stdout);
  try {
    if (asked.remove) await removeKept(progress);
    else {
      const why = asked.simulate ? "as asked for" : await whyNoQemu();
      if (why === undefined) await runReal(asked, progress, interrupt.signal);
      else await runSimulated({ why, json: asked.json, progress, signal: interrupt.signal });
    }
  } catch (error) {
    progress.end();
    if (interrupt.signal.aborted) {
      progress.say("Interrupted; what was begun has been removed.");
      process.exitCode = 130;
    } else {
      const failure = toVdcError(error);
      process.stderr.write(`\nIt failed (${failure.code}): ${failure.message}\n`);
      if (!isVdcError(error)) process.stderr.write(`${failure.stack ?? ""}\n`);
      process.exitCode = 1;
    }
  }
}

async function runReal(asked: Arguments, progress: Progress, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  const { keep } = asked;
  const places = await findPlaces(keep);
  const lock = await lockPlaces(places);
  await mkdir(places.keys, { recursive: true, mode: 0o700 });
  progress.say(`VDC-OS: a virtual datacenter of real virtual machines${keep ? ", to be kept" : ""}.\n`);
  const guest = await progress.step(
    "The guest: a Debian kernel and a busybox initramfs",
    () =>
      buildGuestImage({
        outputDirectory: join(places.cache, "guest"),
        cacheDirectory: join(places.cache, "packages"),
        signal,
      }),
    ({ packages }) => packages.join(", "),
  );
  const token = await readCloudToken(places);
  let cloud: ExternalCloud | undefined;
  let dc: Datacenter | undefined;
  try {
    cloud = await progress.step(
      "The external cloud: a second datacenter, in a process of its own",
      () => startExternalCloud({ directory: places.cloud, keys: places.keys, token, guest, keep }, signal),
      ({ url }) => url,
    );
    dc = await progress.step("The datacenter: two hosts, each a process", () =>
      openWithCloud(places, keep, cloud?.url ?? "", signal),
    );
    await dc.secrets.put({ name: cloudTokenName, value: token }, { signal });
    progress.say(`\n${indent(String(dc.startReport))}\n`);
    await buildAndShow(dc, guest, asked, progress, signal);
    progress.say(`\n  All of it took ${seconds(performance.now() - began)}.`);
  } finally {
    const removing = keep ? "Leaving it running" : "Removing all of it";
    await progress.step(removing, async () => {
      await dc?.close();
      await cloud?.close();
      if (!keep) await removePlaces(places);
      await lock.release();
    });
    progress.end();
  }
  if (keep) progress.say("\nIt goes on running. 'npm start -- --keep' adopts it, 'npm start -- --remove' removes it.");
}

function openWithCloud(places: Places, keep: boolean, baseUrl: string, signal: AbortSignal): Promise<Datacenter> {
  return openDatacenter({
    directory: places.datacenter,
    keys: places.keys,
    name: "main",
    mode: keep ? "durable" : "ephemeral",
    hosts: ["alpha", "beta"],
    plugins: [use(externalCloudPlugin, { config: { name: "outside", baseUrl, token: { name: cloudTokenName } } })],
    signal,
  });
}

async function buildAndShow(
  dc: Datacenter,
  guest: GuestImage,
  asked: Arguments,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  await progress.step("The golden image", () => createGoldenImage(dc, guest, signal));
  const measured = await runScenario({ dc, progress, cloud: true, signal });
  const result = await readResult(dc, measured, signal);
  if (asked.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  else progress.say(`\n${formatResult(result)}`);
}

async function removeKept(progress: Progress): Promise<void> {
  const places = await findPlaces(true);
  const lock = await lockPlaces(places);
  try {
    if (!existsSync(places.datacenter)) {
      progress.say("There is no kept datacenter.");
      return;
    }
    await progress.step("Removing the kept datacenter", async () => {
      const { signal } = new AbortController();
      // The cloud must be there, so that the instance in it can be removed.
      const guest = await buildGuestImage({
        outputDirectory: join(places.cache, "guest"),
        cacheDirectory: join(places.cache, "packages"),
        signal,
      });
      const token = await readCloudToken(places);
      const cloud = await startExternalCloud(
        { directory: places.cloud, keys: places.keys, token, guest, keep: true },
        signal,
      );
      const dc = await openWithCloud(places, true, cloud.url, signal);
      await dc.destroy();
      await removeExternalCloud(places.cloud);
      await removePlaces(places);
    });
  } finally {
    progress.end();
    await lock.release();
  }
}

/** Removes the run's folder, and the one around it unless something else is in that. */
async function removePlaces(places: Places): Promise<void> {
  const base = dirname(places.keys);
  await rm(base, { recursive: true, force: true });
  await rmdir(dirname(base)).catch(() => {});
}

/** One run at a time has the folders: what a run finds there is a killed one's, and is removed. */
async function lockPlaces(places: Places): Promise<ProcessLock> {
  try {
    return await takeProcessLock(dirname(places.keys));
  } catch (error) {
    if (!isVdcError(error, "ALREADY_EXISTS")) throw error;
    throw new VdcError(
      "ALREADY_EXISTS",
      `another run of this example has '${dirname(places.keys)}': wait until it has ended`,
    );
  }
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}

await main();
