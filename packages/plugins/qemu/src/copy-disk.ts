import { spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { toVdcError, VdcError } from "@vdc-os/core";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { blockNode } from "./command-line.ts";
import { vmVariables } from "./process-table.ts";

/** Options of {@link copyDisk}. */
export interface CopyDiskOptions {
  /** The `qemu-img` program. */
  readonly program: string;
  /** The host's folder: a copy whose runtime was killed is found by it, and ended. */
  readonly directory: string;
  readonly signal: AbortSignal;
  /** 0 to 1. */
  readonly onProgress: (fraction: number) => void;
}

/** `qemu-img`, beside QEMU or in PATH. `undefined` when there is none. */
export async function findQemuImg(qemu: string): Promise<string | undefined> {
  const folders = [dirname(qemu), ...(process.env.PATH ?? "").split(delimiter)];
  for (const folder of folders) {
    const path = join(folder, "qemu-img");
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** Copies one volume over another with `qemu-img convert`. When it has returned or failed, nothing of it runs. */
export async function copyDisk(
  source: VolumeTransport,
  target: VolumeTransport,
  options: CopyDiskOptions,
): Promise<void> {
  const { program, directory, signal, onProgress } = options;
  const from = imageOptions(blockNode({ id: "source", transport: source, readOnly: true }));
  const to = imageOptions(blockNode({ id: "target", transport: target, readOnly: false }));
  if (signal.aborted) throw toVdcError(signal.reason);
  // 'writeback': with its default, 'unsafe', nothing is flushed at the end. Zeroes are written too, since the target may hold anything.
  const args = [
    "convert",
    "-n",
    "-p",
    "-t",
    "writeback",
    "-W",
    "-m",
    "8",
    "--image-opts",
    "--target-image-opts",
    from,
    to,
  ];
  const child = spawn(program, args, {
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      LANG: "C.UTF-8",
      [vmVariables.owner]: "none/copy",
      [vmVariables.directory]: directory,
      [vmVariables.vm]: "copy",
      [vmVariables.spawn]: "copy",
    },
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-1_000);
  });
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const last = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1)?.[1];
    if (last !== undefined) onProgress(Number(last) / 100);
  });
  const kill = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    if (signal.aborted) throw toVdcError(signal.reason);
    if (code !== 0) throw copyFailure(errors.trim());
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

function copyFailure(said: string): VdcError {
  if (/failed to connect|connection refused|connection reset|broken pipe/i.test(said)) {
    const reason = "VDC_DISK_UNREACHABLE";
    return new VdcError("UNAVAILABLE", `a volume can't be reached: ${said}`, { reason });
  }
  if (/no space left/i.test(said)) return new VdcError("RESOURCE_EXHAUSTED", `the target is full: ${said}`);
  if (/smaller than|too small|larger than/i.test(said)) {
    return new VdcError("OUT_OF_RANGE", `the target is too small: ${said}`);
  }
  return new VdcError("FAILED_PRECONDITION", `'qemu-img' did not copy: ${said}`, { reason: "VDC_QEMU_REFUSED" });
}

/** A block node as QEMU's `--image-opts` take it: dotted keys, and a comma in a value is doubled. */
function imageOptions(node: Readonly<Record<string, unknown>>): string {
  const words: string[] = [];
  const add = (prefix: string, value: unknown): void => {
    if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) add(prefix === "" ? key : `${prefix}.${key}`, inner);
      return;
    }
    const text = typeof value === "boolean" ? (value ? "on" : "off") : String(value);
    words.push(`${prefix}=${text.replaceAll(",", ",,")}`);
  };
  const { "node-name": _, ...plain } = node;
  add("", plain);
  return words.join(",");
}
