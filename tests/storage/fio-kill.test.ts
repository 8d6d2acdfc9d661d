import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { createTestRandom } from "@vdc-os/core/testing";
import { expect, test } from "vitest";
import { missingPrograms } from "@vdc-os/testing";
import { findProcesses, killProcess } from "../datacenter/owned-processes.ts";

const missing = missingPrograms(["fio", "nbdkit"], "killing under a verified load is not tested");
const isDeep = Boolean(process.env.VDC_DEEP);
const sizeBytes = (isDeep ? 256 : 48) * 1024 * 1024;

interface Manager {
  readonly process: ChildProcess;
  /** How the volume is reached. */
  readonly transport: Promise<Extract<VolumeTransport, { kind: "nbd-unix" }>>;
}

function startManager(settings: object): Manager {
  const program = fileURLToPath(new URL("./serving-manager.ts", import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(settings)], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "exit").then(([code, signal]) => {
    throw new Error(`the manager ended with ${code ?? signal} before it was ready`);
  });
  ended.catch(() => {});
  const transport = Promise.race([once(lines, "line").then(([line]) => JSON.parse(String(line))), ended]);
  transport.catch(() => {});
  return { process: child, transport };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/**
 * fio writes blocks that carry their own checksum, and reads all of them back. It reaches the volume through nbdkit, which tries again what a dead server
 * has not answered, as a VM's monitor does; meanwhile the storage process and the manager are killed, over and over.
 */
test.skipIf(missing)(
  "what fio writes is there, however often storage process and manager are killed",
  async () => {
    const base = mkdtempSync(join(tmpdir(), "vf"));
    const directory = join(base, "dc");
    const settings = { directory, outside: join(base, "o"), capacityBytes: sizeBytes };
    const random = createTestRandom(7);
    const kills = { storage: 0, manager: 0 };
    let manager = startManager(settings);
    let proxy: ChildProcess | undefined;
    try {
      const { path, exportName } = await manager.transport;
      const socket = join(base, "p.sock");
      const retry = ["--filter=retry", "nbd", `socket=${path}`, `export=${exportName}`];
      const tries = ["retries=120", "retry-delay=1", "retry-exponential=no"];
      proxy = spawn("nbdkit", ["-f", "-U", socket, ...retry, ...tries], { stdio: ["ignore", "ignore", "inherit"] });
      let isDone = false;
      const load = promisify(execFile)(
        "fio",
        [
          "--name=verified",
          "--ioengine=nbd",
          `--uri=nbd+unix:///?socket=${socket}`,
          "--rw=randwrite",
          "--bs=4k",
          "--iodepth=8",
          `--size=${sizeBytes}`,
          "--rate_iops=2500",
          "--fsync=64",
          "--verify=crc32c",
          "--verify_fatal=1",
          "--verify_state_save=0",
          "--randseed=5",
          "--output-format=json",
        ],
        { cwd: base, maxBuffer: 1 << 24 },
      ).finally(() => {
        isDone = true;
      });
      load.catch(() => {});
      while (!isDone) {
        await sleep(200 + random.next() * 600);
        if (random.next() < 0.5) {
          await kill(manager.process);
          manager = startManager(settings);
          await manager.transport;
          kills.manager++;
        } else {
          for (const { pid } of (await findProcesses(directory)).filter(({ what }) => what === "storage")) {
            if (killProcess(pid)) kills.storage++;
          }
        }
      }
      const { stdout } = await load;
      const [job] = JSON.parse(stdout.slice(stdout.indexOf("{"))).jobs;
      expect(job.error).toBe(0);
      expect(job.write.io_bytes).toBe(sizeBytes);
      expect(job.read.io_bytes).toBeGreaterThanOrEqual(sizeBytes);
      expect(kills.storage).toBeGreaterThan(0);
      expect(kills.manager).toBeGreaterThan(0);
      console.log(
        `fio wrote and verified ${sizeBytes >> 20} MiB while the storage process was killed ${kills.storage} times and the manager ${kills.manager} times`,
      );
      await kill(proxy);
      const ended = once(manager.process, "exit");
      manager.process.stdin?.write("end\n");
      expect(await ended).toEqual([0, null]);
      expect(await findProcesses(directory)).toEqual([]);
    } finally {
      proxy?.kill("SIGKILL");
      manager.process.kill("SIGKILL");
      for (let left = await findProcesses(directory); left.length > 0; left = await findProcesses(directory)) {
        for (const { pid } of left) killProcess(pid);
      }
      rmSync(base, { recursive: true, force: true });
    }
  },
  300_000,
);
