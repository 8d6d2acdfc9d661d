import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestClock } from "@vdc-os/core/testing";
import { type StateInstance, stateSuite } from "@vdc-os/ready/state";
import { describeSuite } from "@vdc-os/ready/vitest";
import { SqliteStateStore } from "./sqlite-state-store.ts";

async function create(): Promise<StateInstance> {
  const folder = mkdtempSync(join(tmpdir(), "vdc-state-suite-"));
  const path = join(folder, "state.db");
  const clock = createTestClock();
  const opened = [await SqliteStateStore.open({ path, clock })];
  return {
    implementation: opened[0] as SqliteStateStore,
    clock,
    backupPath: join(folder, "backup.db"),
    // Ends in an orderly way: what `kill -9` leaves is tried by a test of its own, with a process to kill.
    restart: async () => {
      await opened[0]?.close();
      const store = await SqliteStateStore.open({ path, clock });
      opened.push(store);
      return store;
    },
    dispose: async () => {
      for (const store of opened) await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}

describeSuite(stateSuite, { create });
