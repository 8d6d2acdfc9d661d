import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isVdcError, VdcError } from "@vdc-os/core";
import type { RecoveryPoint } from "@vdc-os/core/backup/v1";
import { takeProcessLock } from "@vdc-os/core/remote";
import { Qcow2Error } from "@vdc-os/qcow2";
import { afterEach, beforeEach, expect, test } from "vitest";
import { plansOf } from "../src/commands/backup-restore.ts";
import { describePolicy, policyOf } from "../src/commands/storage-policies.ts";
import { findConfig, loadConfig } from "../src/config/load-config.ts";
import { findLockHolder } from "../src/datacenter/lock-holder.ts";
import { choosePoint } from "../src/datacenter/recovery-access.ts";
import { failureOf } from "../src/failure/failure.ts";
import { exitCodeOf, printFailure } from "../src/failure/print-failure.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vdc-parts-"));
});

afterEach(() => rm(folder, { recursive: true }));

function point(
  recoveryPointId: string,
  labels: Record<string, string>,
  disks: readonly string[] = ["disk0"],
): RecoveryPoint {
  const bytes = { capacityBytes: 1, dataBytes: 1, readBytes: 1, newBytes: 1, storedBytes: 1 };
  return {
    recoveryPointId,
    name: "p",
    subject: "s",
    createdAt: 0,
    consistency: "group",
    labels,
    disks: disks.map((diskId) => ({ diskId, storage: "thin", volumeId: "v", reading: "full", ...bytes })),
  };
}

test("a policy is read from options, and told in words", () => {
  const policy = policyOf({
    facet: ["snapshots"],
    attribute: ["media=ssd,nvme", "redundancy>=1"],
    headroom: "10%",
    bandwidth: "1M",
  });
  expect(policy).toEqual({
    facets: ["snapshots"],
    attributes: { media: { in: ["ssd", "nvme"] }, redundancy: { atLeast: 1 } },
    headroom: 0.1,
    qos: { iops: 0, bytesPerSecond: 2 ** 20 },
  });
  const whole = {
    facets: [],
    attributes: {},
    provisioning: "any",
    encryption: "any",
    headroom: 0,
    preferredLabels: {},
    requiredLabels: {},
  } as const;
  expect(describePolicy(whole)).toBe("nothing");
  expect(describePolicy({ ...whole, ...policy } as Parameters<typeof describePolicy>[0])).toBe(
    "snapshots, media ssd or nvme, redundancy at least 1, 10% free, 1048576 bytes/s",
  );
  for (const wrong of [{ provisioning: "fat" }, { headroom: "much" }, { attribute: ["media"] }]) {
    expect(() => policyOf(wrong)).toThrow(
      expect.toSatisfy((error) => isVdcError(error) && error.reason === "VDC_USAGE"),
    );
  }
});

test("a recovery point is named by its id, the id's beginning, or what it is of", () => {
  const points = [point("aaaa11", { vm: "web" }), point("aaaa22", { vm: "web" }), point("bbbb33", { volume: "disk" })];
  expect(choosePoint(points, "aaaa11").recoveryPointId).toBe("aaaa11");
  expect(choosePoint(points, "bbbb").recoveryPointId).toBe("bbbb33");
  expect(choosePoint(points, "web").recoveryPointId).toBe("aaaa22");
  expect(() => choosePoint(points, "aaaa")).toThrow("2 recovery points");
  expect(() => choosePoint(points, "nope")).toThrow("there is no recovery point 'nope'");
});

test("restored volumes have names of their own", () => {
  const two = point("aaaa", { vm: "web" }, ["disk0", "disk1"]);
  const names = (options: Parameters<typeof plansOf>[1]) => plansOf(two, options).map(({ volume }) => volume);
  expect(names({})).toEqual(["web-restored-disk0", "web-restored-disk1"]);
  expect(names({ disk: ["disk1"], into: "rescued" })).toEqual(["rescued"]);
  expect(() => names({ disk: ["disk7"] })).toThrow("it has 'disk0', 'disk1'");
});

test("errors say what to do, whoever made them", () => {
  expect(failureOf(new VdcError("NOT_FOUND", "x"))).toMatchObject({ code: "NOT_FOUND", reason: "VDC_NOT_FOUND" });
  expect(failureOf(new Qcow2Error("IN_USE", "x"))).toMatchObject({ code: "FAILED_PRECONDITION", reason: "IN_USE" });
  expect(failureOf(Object.assign(new Error("x"), { code: "ENOENT" }))).toEqual({
    code: "NOT_FOUND",
    reason: "ENOENT",
    message: "x",
  });
  expect(failureOf("text")).toMatchObject({ code: "UNKNOWN", message: "text" });
  const blockers = [{ kind: "VirtualMachine", name: "web" }];
  const failure = failureOf(new VdcError("FAILED_PRECONDITION", "in use\u001b[2J", { blockers }));
  let printed = "";
  printFailure(failure, { stderr: { write: (text: string) => (printed += text) }, env: {}, json: false });
  expect(printed).toBe("error: in use\n  First deal with virtual machine 'web'.\n  (VDC_FAILED_PRECONDITION)\n");
  expect([exitCodeOf(failure, false), exitCodeOf(failure, true)]).toEqual([1, 130]);
});

test("the nearest config counts, and one that is none is refused with the reason", async () => {
  const below = join(folder, "a/b");
  await mkdir(below, { recursive: true });
  const load = (text: string, name: string) =>
    writeFile(join(folder, name), text).then(() => loadConfig({ path: name, cwd: folder, env: {} }));
  const { options } = await load(
    "export default ({ folder }) => ({ directory: 'dc', plugins: [], name: folder });",
    "vdc.config.mjs",
  );
  expect(options).toEqual({ directory: join(folder, "dc"), plugins: [], name: folder });
  expect(findConfig(below)).toBe(join(folder, "vdc.config.mjs"));
  const wrong = {
    "a.mjs": ["export default 7", "no config"],
    "b.mjs": ["export default { plugins: [] }", "no 'directory'"],
    "c.mjs": ["export default { directory: 'x', plugins: [], mode: 'ephemeral' }", "durable"],
    "d.mjs": ["import 'no-such-package'; export default {}", "npm install no-such-package"],
    "e.mjs": ["export default {", "can't be used"],
  };
  for (const [name, [text = "", why = ""]] of Object.entries(wrong))
    await expect(load(text, name)).rejects.toThrow(why);
  await expect(loadConfig({ path: "none.ts", cwd: folder, env: {} })).rejects.toMatchObject({
    reason: "VDC_NO_CONFIG",
  });
});

test.skipIf(process.platform !== "linux")("who holds core's lock is found", async () => {
  expect(await findLockHolder(folder)).toBeUndefined();
  const lock = await takeProcessLock(folder);
  expect(await findLockHolder(folder)).toMatchObject({ pid: process.pid });
  await lock.release();
  expect(await findLockHolder(folder)).toBeUndefined();
});
