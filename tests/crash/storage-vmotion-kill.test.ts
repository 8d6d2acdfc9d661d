import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTestRandom } from "@vdc-os/core/testing";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type Datacenter, isConditionTrue, readyCondition } from "@vdc-os/sdk";
import { describe, expect, test } from "vitest";
import { addGuestImage, askGuest, startWriting, stopWriting } from "../datacenter/guest.ts";
import { missingPrograms } from "@vdc-os/testing";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";
import { findProcesses, killProcess } from "../datacenter/owned-processes.ts";
import type { KillPoint } from "./manager-protocol.ts";

const MiB = 1 << 20;
const deep = process.env.VDC_DEEP !== undefined && process.env.VDC_DEEP !== "";
const kills = deep ? 100 : 5;
const programs = ["qemu-system-x86_64", "qemu-img", "apt-get", "dpkg-deb"];
const skip = missingPrograms(programs, "kills in the middle of a move are not tested");
/** A manager that does not come to its kill point is killed after so long, in milliseconds. */
const longestLifeMs = 8_000;

describe.skipIf(skip)("a manager that is killed while it moves the volume of a VM", () => {
  test(
    "loses no write of the guest, and leaves the volume in one place",
    async () => {
      const base = await mkdtemp(join(tmpdir(), "mk"));
      const place = { directory: join(base, "dc"), outside: join(base, "o") };
      const open = (): Promise<Datacenter> =>
        openRealDatacenter({ ...place, virtualMachines: true, pools: ["second"] });
      try {
        let dc = await open();
        await addGuestImage(dc);
        await dc.volumes.createAndWait({ name: "data", spec: { storage: "thin", capacityBytes: 16 * MiB } });
        const disks = [{ kind: "volume", volume: "data" }] as const;
        await dc.vms.createAndWait({ name: "vm", spec: { image: "guest", cpus: 1, memoryBytes: 160 * MiB, disks } });
        await dc.vms.waitForConsole("vm", /VDC-READY/);
        await askGuest(dc, "vm", startWriting(16 * MiB));
        const before = (await dc.vms.get("vm")).status;
        await dc.close();

        const random = createTestRandom(deep ? Date.now() : 7);
        const history: string[] = [];
        const phases = new Set<string>();
        for (let index = 0; index < kills; index++) {
          const phase = random.next() < 0.25 ? "opening" : "working";
          const effect = 1 + Math.floor(random.next() * (phase === "opening" ? 120 : 150));
          const kill: KillPoint = { phase, effect, moment: random.next() < 0.5 ? "before" : "after" };
          history.push(JSON.stringify(kill));
          await liveAndDie(place, kill);
          // Every few kills all is looked at, and the rest of the time the next manager finds what there is.
          if (index % 5 !== 4) continue;
          dc = await open();
          phases.add((await dc.volumes.get("data")).status.move?.phase ?? "none");
          await mustConverge(dc, history);
          const after = (await dc.vms.get("vm")).status;
          expect([after.vmId, after.startedAt]).toEqual([before.vmId, before.startedAt]);
          if (index < kills - 1) await dc.close();
        }
        console.log(`storage vmotion: ${kills} kills survived; found when opened: ${[...phases].join(", ")}`);
        expect(await askGuest(dc, "vm", `${stopWriting}; cat /lost`)).toMatch(/No such file/);
        const digest = await askGuest(dc, "vm", "sha256sum </shadow");
        expect(await askGuest(dc, "vm", "sha256sum </dev/vda"), history.join("\n")).toBe(digest);
        expect(Number(await askGuest(dc, "vm", "cat /count"))).toBeGreaterThan(kills);
        await dc.destroy();
        expect(await findProcesses(base)).toEqual([]);
      } finally {
        for (const { pid } of await findProcesses(base)) killProcess(pid);
        await rm(base, { recursive: true, force: true });
      }
    },
    deep ? 1_800_000 : 300_000,
  );
});

async function liveAndDie(
  { directory, outside }: { readonly directory: string; readonly outside: string },
  kill: KillPoint,
): Promise<void> {
  const entry = fileURLToPath(new URL("./moving-manager.ts", import.meta.url));
  const child = spawn(process.execPath, [entry, directory, outside, JSON.stringify(kill)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), longestLifeMs);
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  clearTimeout(timer);
  expect([code, signal]).toEqual([null, "SIGKILL"]);
}

/** Waits until the volume is where it is asked to be; then it must be there alone, and attached once. */
async function mustConverge(dc: Datacenter, history: readonly string[]): Promise<void> {
  const isSettled = async (): Promise<boolean> => {
    const { spec, status, conditions, metadata } = await dc.volumes.get("data");
    const isThere = status.move === undefined && status.storage === spec.storage;
    return isThere && isConditionTrue(conditions, readyCondition, metadata.generation);
  };
  await expect.poll(isSettled, { timeout: 20_000, message: history.join("\n") }).toBe(true);
  const { status } = await dc.volumes.get("data");
  const found: string[] = [];
  for (const name of ["thin", "second"]) {
    const storage = dc.kernel.get(storageProvider, name);
    for (const { volumeId } of (await storage.listVolumes({})).items) {
      const { attachment } = await storage.getAttachment({ volumeId });
      found.push(`${volumeId} on ${name}, attached in ${attachment?.generation}`);
    }
  }
  expect(found, history.join("\n")).toEqual([
    `${status.volumeId} on ${status.storage}, attached in ${status.attachedTo?.generation}`,
  ]);
}
