import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type OperationContext, silentLogger, systemRandom } from "@vdc-os/core";
import type { QemuConfig } from "../src/config.ts";
import { QemuHypervisor } from "../src/qemu-hypervisor.ts";
import { sweepVms } from "../src/sweep-vms.ts";

/** A host's folder of a test, and the hypervisor in it. */
export class TestHost {
  readonly directory: string;
  readonly #change: Partial<QemuConfig>;
  #open: QemuHypervisor | undefined;

  private constructor(directory: string, change: Partial<QemuConfig>) {
    this.directory = directory;
    this.#change = change;
  }

  static async create(change: Partial<QemuConfig> = {}): Promise<TestHost> {
    return new TestHost(await mkdtemp(join(tmpdir(), "vdc-qemu-")), change);
  }

  /** Opens the folder, again or for the first time. */
  async open(): Promise<QemuHypervisor> {
    await this.#open?.close();
    this.#open = await QemuHypervisor.open({ config: this.config, logger: silentLogger, random: systemRandom });
    return this.#open;
  }

  get config(): QemuConfig {
    return { name: "host-1", directory: this.directory, accelerator: "tcg", ...this.#change };
  }

  socket(name: string): string {
    return join(this.directory, "run", name);
  }

  async dispose(): Promise<void> {
    await this.#open?.close();
    const { openVswitch } = this.config;
    try {
      await sweepVms(this.directory, openVswitch === undefined ? {} : { openVswitch });
    } finally {
      await rm(this.directory, { recursive: true, force: true });
    }
  }
}

/** The context of a call of a test. */
export function operation(signal?: AbortSignal): OperationContext {
  return createOperationContext(signal === undefined ? {} : { signal });
}

/** Reads a console from its beginning until it matches, and returns the match's line. Fails when the console ends before. */
export async function consoleLine(
  hypervisor: QemuHypervisor,
  vmId: string,
  pattern: RegExp,
  signal?: AbortSignal,
): Promise<string> {
  let text = "";
  for await (const portion of hypervisor.readConsole({ vmId, follow: true }, operation(signal))) {
    text += portion.text;
    const line = text
      .split("\n")
      .slice(0, -1)
      .map((raw) => raw.replaceAll("\r", ""))
      .find((whole) => pattern.test(whole));
    if (line !== undefined) return line;
  }
  throw new Error(`'${pattern}' never came; the console says:\n${text}`);
}
