import { silentLogger } from "@vdc-os/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ControlPlane } from "../controller/control-plane.ts";
import { volumeKind } from "../kinds/volume-spec.ts";
import type { AnyKind } from "../resource/kind.ts";
import { removeObjects } from "./remove-objects.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Volumes, each of which goes so many milliseconds after it was deleted. */
function planeOf(gone: Readonly<Record<string, number>>): ControlPlane {
  const objects = Object.keys(gone).map((name) => ({
    kind: volumeKind.kind,
    metadata: { tenant: "default", name },
    spec: {},
    status: {},
  }));
  const wait = (name: string, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      setTimeout(resolve, gone[name]);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  return {
    cache: { list: (kind: AnyKind) => (kind.kind === volumeKind.kind ? objects : []) },
    store: {
      find: async (_: AnyKind, { name }: { readonly name: string }) =>
        objects.find((one) => one.metadata.name === name),
      delete: async (_: AnyKind, { name }: { readonly name: string }) => ({
        task: { wait: ({ signal }: { readonly signal: AbortSignal }) => wait(name, signal) },
      }),
    },
  } as unknown as ControlPlane;
}

test("many objects are waited for as long as they go one after the other, and what is stuck is given up and told", async () => {
  const warned: unknown[] = [];
  const logger = { ...silentLogger, warn: (_: string, fields?: object) => void warned.push(fields) };
  const plane = planeOf({ first: 15_000, second: 30_000, third: 45_000, stuck: 3_600_000 });
  let endedAfterMs: number | undefined;
  const startedAt = Date.now();
  const ended = removeObjects(plane, logger).then(() => {
    endedAfterMs = Date.now() - startedAt;
  });
  await vi.advanceTimersByTimeAsync(64_000);
  expect([endedAfterMs, warned]).toEqual([undefined, []]);
  await vi.advanceTimersByTimeAsync(2_000);
  await ended;
  expect(endedAfterMs).toBe(65_000);
  expect(warned).toEqual([{ kind: "Volume", name: "stuck", error: expect.stringContaining("nothing has gone") }]);
});
