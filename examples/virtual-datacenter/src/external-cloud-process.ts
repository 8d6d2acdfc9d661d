// The external cloud: a datacenter of its own, in a process of its own, that others reach over its HTTP API. It writes where it listens into
// `<directory>.json`. Unless it is kept, it ends when its standard input does.
import { rename, rm, writeFile } from "node:fs/promises";
import { datacenterService, startApiServer } from "@vdc-os/api";
import type { GuestImage } from "@vdc-os/guest-image";
import type { Datacenter } from "@vdc-os/sdk";
import { createGoldenImage } from "./golden-image.ts";
import { openDatacenter } from "./open-datacenter.ts";

/** What the process reads as the first line of its standard input. The token is not an argument, since those can be read by others. */
export interface ExternalCloudSettings {
  readonly directory: string;
  readonly keys: string;
  readonly token: string;
  readonly guest: GuestImage;
  /** Whether it goes on when whoever started it ends. */
  readonly keep: boolean;
}

/** Where a running cloud says how it is reached. */
export interface ExternalCloudAddress {
  readonly url: string;
  readonly pid: number;
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());

const settings = await readSettings();
const { directory, keys, keep } = settings;
const addressFile = `${directory}.json`;
let dc: Datacenter | undefined;
try {
  dc = await openDatacenter({
    directory,
    keys,
    name: "outside",
    mode: keep ? "durable" : "ephemeral",
    hosts: ["gamma"],
    signal: stop.signal,
  });
  await createGoldenImage(dc, settings.guest, stop.signal);
  await using server = await startApiServer({ service: datacenterService(dc), token: settings.token });
  const address: ExternalCloudAddress = { url: server.url, pid: process.pid };
  await writeFile(`${addressFile}.tmp`, JSON.stringify(address), { mode: 0o600 });
  await rename(`${addressFile}.tmp`, addressFile);
  await untilAborted(stop.signal);
} catch (error) {
  if (!stop.signal.aborted) throw error;
} finally {
  await rm(addressFile, { force: true });
  await dc?.close();
}
process.exit(0);

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function readSettings(): Promise<ExternalCloudSettings> {
  return new Promise((resolve, reject) => {
    let text = "";
    let read: ExternalCloudSettings | undefined;
    process.stdin.setEncoding("utf8");
    process.stdin.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end < 0 || read !== undefined) return;
      read = JSON.parse(text.slice(0, end)) as ExternalCloudSettings;
      resolve(read);
    });
    process.stdin.on("end", () => {
      if (read === undefined) reject(new Error("the settings must come as one line of JSON on the standard input"));
      // Whoever started it is gone.
      else if (!read.keep) stop.abort();
    });
  });
}
