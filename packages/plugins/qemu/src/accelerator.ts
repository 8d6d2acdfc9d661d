import { access, constants, readFile } from "node:fs/promises";
import type { Logger } from "@vdc-os/core";
import { writeFileAtomic } from "@vdc-os/core/local";
import { z } from "zod";
import type { QemuConfig } from "./config.ts";
import type { QemuProgram } from "./find-program.ts";
import type { HostFolder } from "./host-folder.ts";
import { probeKvm } from "./kvm-probe.ts";

/** How VMs are run here, and how that is known. */
export interface AcceleratorFinding {
  readonly kind: "kvm" | "tcg";
  readonly evidence: string;
}

/** Options of {@link Accelerator}. */
export interface AcceleratorOptions {
  readonly config: QemuConfig;
  readonly folder: HostFolder;
  readonly qemu: QemuProgram;
  readonly bootId: string;
  readonly logger: Logger;
}

const kept = z.object({ key: z.string(), kind: z.enum(["kvm", "tcg"]), evidence: z.string() });

/**
 * Decides between KVM and TCG. A `/dev/kvm` that opens proves little: some run only kernels made for them. So KVM is taken only after a
 * guest has run under it. The finding is kept in the host's folder for this QEMU, this boot of the host and this probe guest.
 */
export class Accelerator {
  readonly #options: AcceleratorOptions;
  #finding: Promise<AcceleratorFinding> | undefined;

  constructor(options: AcceleratorOptions) {
    this.#options = options;
  }

  /** Finds out, at most once. Takes as long as the probe the first time. Never rejects. */
  find(): Promise<AcceleratorFinding> {
    this.#finding ??= this.#find();
    return this.#finding;
  }

  async #find(): Promise<AcceleratorFinding> {
    const { config, folder, qemu, bootId, logger } = this.#options;
    const { accelerator = "auto", probeKernel = "" } = config;
    if (accelerator !== "auto") return { kind: accelerator, evidence: `${accelerator}: set in the config, not probed` };
    const canOpen = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    );
    if (!canOpen) return { kind: "tcg", evidence: "tcg: /dev/kvm is not there, or this user may not open it" };
    const key = JSON.stringify([qemu.path, qemu.version, bootId, probeKernel]);
    const found = await readKept(folder.acceleratorFile);
    if (found?.key === key) return { kind: found.kind, evidence: found.evidence };
    const finding = await probeKvm(qemu, config).catch((error: unknown): AcceleratorFinding => {
      return { kind: "tcg", evidence: `tcg: the probe of KVM failed: ${String(error)}` };
    });
    logger.info("the accelerator was probed", { ...finding });
    await writeFileAtomic(folder.acceleratorFile, JSON.stringify({ key, ...finding })).catch(() => undefined);
    return finding;
  }
}

async function readKept(path: string): Promise<z.output<typeof kept> | undefined> {
  try {
    return kept.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}
