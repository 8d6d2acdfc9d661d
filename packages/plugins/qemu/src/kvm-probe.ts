import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AcceleratorFinding } from "./accelerator.ts";
import { bootSectorGreeting, makeBootDisk } from "./boot-sector.ts";
import type { QemuConfig } from "./config.ts";
import type { QemuProgram } from "./find-program.ts";

const defaultTimeoutMs = 10_000;
const maxOutputBytes = 64 * 1024;

/** Runs a guest under KVM and says whether it really ran. With `probeKernel` that is a kernel; else a boot sector. */
export async function probeKvm(qemu: QemuProgram, config: QemuConfig): Promise<AcceleratorFinding> {
  const { probeKernel, probeInitrd, probeTimeoutMs = defaultTimeoutMs } = config;
  const folder = await mkdtemp(join(tmpdir(), "vdc-kvm-probe-"));
  try {
    const sector = join(folder, "boot");
    await writeFile(sector, makeBootDisk());
    const boot =
      probeKernel === undefined
        ? ["-drive", `file=${sector},format=raw,if=ide`]
        : [
            ...["-kernel", probeKernel, "-append", config.probeCommandLine ?? "console=ttyS0 panic=-1"],
            ...(probeInitrd === undefined ? [] : ["-initrd", probeInitrd]),
          ];
    const what = probeKernel === undefined ? "a boot sector" : "a kernel";
    const expected = probeKernel === undefined ? bootSectorGreeting : undefined;
    const startedAt = performance.now();
    const problem = await run(qemu.path, boot, expected, probeTimeoutMs);
    if (problem !== undefined) {
      return { kind: "tcg", evidence: `tcg: a probe guest (${what}) did not run under KVM: ${problem}` };
    }
    const tookMs = Math.round(performance.now() - startedAt);
    return { kind: "kvm", evidence: `kvm: a probe guest (${what}) ran under it in ${tookMs} ms, QEMU ${qemu.version}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Waits until the guest has said what is expected, or anything. Says what was wrong, if anything. */
function run(
  program: string,
  boot: readonly string[],
  expected: string | undefined,
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const machine = [
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-M",
      "q35",
      "-accel",
      "kvm",
      "-cpu",
      "host",
    ];
    const args = [...machine, "-m", "256", "-no-reboot", "-serial", "stdio", ...boot];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    let verdict: string | undefined;
    const finish = (problem: string | undefined): void => {
      clearTimeout(timer);
      verdict ??= problem;
      child.kill("SIGKILL");
    };
    const timer = setTimeout(() => finish(`nothing came from it within ${timeoutMs / 1000} s`), timeoutMs);
    child.stdout.setEncoding("latin1").on("data", (text: string) => {
      output = (output + text).slice(-maxOutputBytes);
      if (expected === undefined ? output.trim() !== "" : output.includes(expected)) finish(undefined);
    });
    child.stderr.setEncoding("latin1").on("data", (text: string) => {
      errors = (errors + text).slice(-2_000);
      // QEMU stays, and shows what the guest's processor was about to do.
      if (errors.includes("KVM internal error")) finish(errors.trim().split("\n").slice(0, 3).join(", "));
    });
    child.on("error", (error) => finish(error.message));
    child.on("close", () => {
      clearTimeout(timer);
      const said = expected === undefined ? output.trim() !== "" : output.includes(expected);
      resolve(said ? undefined : (verdict ?? (errors.trim().split("\n")[0] || "it ended without a word")));
    });
  });
}
