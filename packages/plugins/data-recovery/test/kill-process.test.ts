import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Kernel } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { createTestRandom } from "@vdc-os/core/testing";
import { killAfterLines } from "@vdc-os/testing";
import { expect, it } from "vitest";
import { openDataRecovery } from "../src/open-data-recovery.ts";
import { rawFiles } from "./raw-files.ts";
import { context, mib } from "./test-recovery.ts";

const churn = fileURLToPath(new URL("./churn-process.ts", import.meta.url));

it("has after SIGKILL every point that was acknowledged and kept, and finishes or takes back the rest", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vdc-recovery-"));
  const volumes = join(folder, "volumes");
  mkdirSync(volumes);
  const random = createTestRandom(17);
  const sums = new Map<string, string>();
  const kernel = new Kernel();
  const files = rawFiles(volumes);
  kernel.provide(storageProvider, "files", files);
  await kernel.start();
  try {
    await files.createVolume({ name: "disk", capacityBytes: 4 * mib }, context());
    for (let run = 0; run < (process.env.VDC_DEEP ? 60 : 5); run++) {
      let kept: string[] = [];
      for (const line of await killAfterLines(1 + Math.floor(random.next() * 14), churn, folder, String(run))) {
        const [what, id = "", sum = ""] = line.split(" ");
        if (what === "made") {
          sums.set(id, sum);
          kept.push(id);
        } else if (what === "restored") {
          expect(sumOf(join(volumes, `${id}.raw`))).toBe(sum);
        } else if (what === "pruning") {
          kept = kept.slice(-2);
        }
      }
      const storage = kernel.all(storageProvider);
      await using opened = await openDataRecovery({ directory: join(folder, "repository"), host: "here", storage });
      const { provider } = opened;
      expect((await provider.verify({}, context())).damages).toEqual([]);
      const points = (await provider.listRecoveryPoints({})).items;
      const ids = points.map(({ recoveryPointId }) => recoveryPointId);
      for (const id of kept.slice(-2)) expect(ids).toContain(id);
      for (const recoveryPointId of ids) {
        const sum = sums.get(recoveryPointId);
        // One that was made and not acknowledged yet.
        if (sum === undefined) continue;
        const target = { kind: "new", storage: "files", name: `v-${run}-${recoveryPointId.slice(0, 30)}` } as const;
        const input = { recoveryPointId, disks: [{ diskId: "d", target }] };
        const { disks } = await provider.restore(input, context());
        expect(sumOf(join(volumes, `${disks[0]?.volumeId}.raw`))).toBe(sum);
        await files.deleteVolume({ volumeId: disks[0]?.volumeId ?? "" }, context());
      }
      if (run % 2 === 1) {
        await provider.sweep({}, context());
        expect((await provider.status()).runs).toEqual([]);
        expect((await files.getAttachment({ volumeId: "disk" }, context())).attachment).toBeUndefined();
      }
      expect(readdirSync(join(folder, "repository", "tmp"))).toEqual([]);
    }
  } finally {
    await kernel.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

function sumOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
