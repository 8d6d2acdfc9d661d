import { type Progress, silentLogger, systemRandom } from "@vdc-os/core";
import { createTestClock } from "@vdc-os/core/testing";
import { expect, test } from "vitest";
import { MemoryState } from "../../test/memory-state-store.ts";
import { TaskManager } from "./task-manager.ts";

test("the last progress is told, also when the task ends before events are due again", async () => {
  const clock = createTestClock();
  const state = new MemoryState().connect();
  const tasks = new TaskManager({
    state,
    clock,
    random: systemRandom,
    logger: silentLogger,
    progressIntervalMs: 250,
    retention: { maxAgeMs: 60_000, maxCount: 100 },
  });
  await tasks.start();
  const task = await tasks.begin({ action: "copy", tenant: "default" });
  await expect.poll(() => tasks.get(task.id).then(({ state: now }) => now)).toBe("accepted");
  const seen: Progress[] = [];
  const ended = task.wait({ onProgress: (progress) => seen.push(progress) });
  tasks.report(task.id);
  tasks.report(task.id, { fraction: 0.5, message: "half" });
  tasks.report(task.id, { fraction: 1, message: "all" });
  expect(seen).toEqual([]);
  await tasks.finish(task.id, { state: "succeeded" });
  await ended;
  expect(seen).toEqual([{ fraction: 1, message: "all" }]);
  await tasks.stop();
});
