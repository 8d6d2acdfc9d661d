import { afterAll, describe, expect, test } from "vitest";
import { type CrashReport, runCrashes } from "./crash-run.ts";
import { missingPrograms } from "@vdc-os/testing";

const deep = process.env.VDC_DEEP !== undefined && process.env.VDC_DEEP !== "";
const reports: CrashReport[] = [];
const withMachines: CrashReport[] = [];

afterAll(() => {
  const count = (list: readonly CrashReport[]): number => list.reduce((sum, { kills }) => sum + kills, 0);
  const victims = reports.reduce((sum, report) => sum + report.victims, 0);
  console.log(
    `crash test: ${count(reports)} kill points survived (${count(withMachines)} with real VMs), ${victims} other processes killed besides`,
  );
});

describe.concurrent("a datacenter whose manager is killed, at any instant, again and again", () => {
  const seeds = deep ? Array.from({ length: 6 }, (_, index) => 100 + index) : [1];
  test.each(seeds)(
    "loses nothing acknowledged, and leaks nothing: volumes, clones and switches, seed %i",
    async (seed) => {
      if (missingPrograms(["qemu-img"], "what a kill leaves of disk images is not checked")) return;
      const report = await runCrashes({ seed, kills: deep ? 40 : 22, virtualMachines: false });
      reports.push(report);
      expect(report.accepted).toBeGreaterThan(report.kills);
    },
    900_000,
  );

  const machineSeeds = deep ? Array.from({ length: 5 }, (_, index) => 200 + index) : [2];
  test.each(machineSeeds)(
    "keeps each VM running exactly once: volumes, switches and real VMs, seed %i",
    async (seed) => {
      if (missingPrograms(["qemu-system-x86_64"], "kills with real VMs are not tested")) return;
      const report = await runCrashes({ seed, kills: deep ? 20 : 8, virtualMachines: true });
      reports.push(report);
      withMachines.push(report);
      expect(report.accepted).toBeGreaterThan(0);
    },
    900_000,
  );
});
