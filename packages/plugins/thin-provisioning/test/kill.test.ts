import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTestRandom } from "@vdc-os/core/testing";
import { Qcow2Image, backingFolder } from "@vdc-os/qcow2";
import { killAfterLines } from "@vdc-os/testing";
import { expect, it } from "vitest";
import { ThinPool } from "../src/thin-pool.ts";
import { hostsOf } from "./test-host.ts";

const churn = fileURLToPath(new URL("./churn-process.ts", import.meta.url));

it("has after a kill at any moment what was acknowledged, and nothing half made", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vdc-kill-"));
  const directory = join(folder, "pool");
  const random = createTestRandom(7);
  const present = new Set<string>();
  const deleting = new Set<string>();
  try {
    for (let run = 0; run < (process.env.VDC_DEEP ? 40 : 5); run++) {
      for (const line of await killAfterLines(1 + Math.floor(random.next() * 40), churn, directory, String(run))) {
        const [what, volumeId = ""] = line.split(" ");
        if (what === "made") present.add(volumeId);
        else if (what === "deleting") deleting.add(volumeId);
        else present.delete(volumeId);
      }
      const pool = await ThinPool.open({ name: "fast", directory, hosts: hostsOf([]) });
      const volumes = new Set([...pool.catalog.entries].map(({ volumeId }) => volumeId));
      const found = new Set(volumes);
      for (const { record } of pool.catalog.entries) {
        for (const { snapshotId, deleted } of record.snapshots ?? []) if (deleted !== true) found.add(snapshotId);
      }
      for (const volumeId of present) expect(found.has(volumeId) || deleting.has(volumeId)).toBe(true);
      for (const volumeId of deleting) if (!present.has(volumeId)) expect(found.has(volumeId)).toBe(false);
      for (const volumeId of found) present.add(volumeId);
      for (const volumeId of [...present]) if (!found.has(volumeId)) present.delete(volumeId);
      await pool.catalog.filesMade();
      expect(readdirSync(pool.layout.trash)).toEqual([]);
      expect(new Set(readdirSync(pool.layout.volumes))).toEqual(volumes);
      let provisioned = 0;
      for (const { record } of pool.catalog.entries) {
        provisioned += record.capacityBytes;
        expect(record.changing).toBeUndefined();
        expect(record.pending).toBeUndefined();
        const { snapshots = [], activeLayer } = record;
        const layers: readonly (readonly [string, number, string | undefined])[] = [
          [pool.layout.image(record.volumeId), record.capacityBytes, activeLayer],
          ...snapshots.map(
            (one) => [pool.layout.layer(record.volumeId, one.snapshotId), one.capacityBytes, one.below] as const,
          ),
        ];
        const files = readdirSync(pool.layout.volume(record.volumeId)).filter((name) => name.endsWith(".qcow2"));
        expect(files.length).toBe(layers.length);
        for (const [path, capacityBytes, below] of layers) {
          const image = await Qcow2Image.open(path, {
            resolveBacking: backingFolder(pool.layout.volumes),
            readOnly: true,
          });
          expect(image.sizeBytes).toBe(capacityBytes);
          const outside = record.parentSnapshotId ?? "disk";
          const lowest =
            record.parentVolumeId === undefined ? undefined : `../${record.parentVolumeId}/${outside}.qcow2`;
          // A kill between a merge and the record leaves a layer that nothing lies on, which the next change removes.
          const merged = snapshots.find((one) => one.snapshotId === below)?.deleted === true;
          if (!merged) expect(image.backing?.path).toBe(below === undefined ? lowest : `${below}.qcow2`);
          await image.close();
        }
      }
      expect(pool.catalog.provisionedBytes).toBe(provisioned);
      pool.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
