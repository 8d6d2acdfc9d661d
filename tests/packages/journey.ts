import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../architecture/source-tree.ts";
import type { CleanMachine } from "./clean-machine.ts";
import type { ProgramResult } from "./run-program.ts";

/** What a stranger meets between `npm create` and a certified provider. */
export interface Journey {
  readonly point: string;
  /** How long each step took, in seconds. */
  readonly seconds: Readonly<Record<StepName, number>>;
  /** Requirements, each once over all transports. */
  readonly passed: number;
  readonly failed: number;
  readonly notApplicable: number;
  /** Lines of code that a person has to read: without tests, comments and empty lines. */
  readonly lines: number;
  /** What the certificate says, once it has been verified against the tarball. */
  readonly verdict: string;
}

const stepNames = ["create", "install", "check", "test", "certify", "verify"] as const;
type StepName = (typeof stepNames)[number];

/** The extension points that there is a template for. */
export async function templatePoints(): Promise<readonly string[]> {
  const entries = await readdir(join(root, "packages/create-plugin/templates"), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Goes the whole way for one extension point. Rejects with what was printed by the step that failed. */
export async function travel(machine: CleanMachine, point: string): Promise<Journey> {
  const name = `my-${point}`;
  const cwd = join(machine.directory, name);
  const seconds: Record<StepName, number> = { create: 0, install: 0, check: 0, test: 0, certify: 0, verify: 0 };
  const step = async (which: StepName, args: readonly string[], folder = cwd): Promise<ProgramResult> => {
    const startedAt = performance.now();
    const result = await machine.npm(args, { cwd: folder });
    seconds[which] += (performance.now() - startedAt) / 1000;
    if (result.code === 0) return result;
    throw new Error(`${point}: 'npm ${args.join(" ")}' ended with ${result.code}:\n${result.stdout}${result.stderr}`);
  };
  await step(
    "create",
    ["create", "--yes", "@vdc-os/plugin", name, "--", "--point", point, "--name", name],
    machine.directory,
  );
  const lines = await countLines(join(cwd, "src"));
  await step("install", ["install"]);
  await step("check", ["run", "typecheck"]);
  await step("test", ["test"]);
  await step("check", ["run", "build"]);
  await step("check", ["run", "check"]);
  await step("certify", ["exec", "vdc-ready", "key"]);
  await step("certify", [
    "run",
    "certify",
    "--",
    "--json",
    "ready.json",
    "--certificate",
    "c.json",
    "--key",
    "vdc-ready.key",
  ]);
  const [tarball = ""] = (await readdir(cwd)).filter((file) => file.endsWith(".tgz"));
  const verify = ["exec", "vdc-ready", "--", "verify", "c.json", "--key", "vdc-ready.key.pub", "--tarball", tarball];
  await step("verify", verify);

  const report = JSON.parse(await readFile(join(cwd, "ready.json"), "utf8")) as CertificationReport;
  const results = Object.values(
    Object.groupBy(
      report.suites.flatMap((suite) => suite.results),
      ({ id }) => id,
    ),
  );
  const count = (wanted: (statuses: readonly string[]) => boolean): number =>
    results.filter((own = []) => wanted(own.map(({ status }) => status))).length;
  return {
    point,
    seconds,
    lines,
    passed: count((statuses) => !statuses.some(isFailure) && statuses.includes("pass")),
    failed: count((statuses) => statuses.some(isFailure)),
    notApplicable: count((statuses) => statuses.every((status) => status === "not-applicable")),
    verdict: report.verdict,
  };
}

function isFailure(status: string): boolean {
  return status !== "pass" && status !== "not-applicable";
}

/** What is read of the kit's report. */
interface CertificationReport {
  readonly verdict: string;
  readonly suites: readonly { readonly results: readonly { readonly id: string; readonly status: string }[] }[];
}

async function countLines(folder: string): Promise<number> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return texts.flatMap((text) => text.split("\n")).filter((line) => !/^\s*($|\/\/|\/?\*)/.test(line)).length;
}

/** Journeys as a table for people. */
export function formatJourneys(journeys: readonly Journey[]): string {
  const head = ["point", ...stepNames, "seconds", "lines", "passed", "failed", "n/a", "certificate"];
  const rows = journeys.map(({ point, seconds, lines, passed, failed, notApplicable, verdict }) => {
    const times = stepNames.map((name) => seconds[name]);
    const total = times.reduce((sum, each) => sum + each, 0);
    return [
      point,
      ...[...times, total].map((each) => each.toFixed(1)),
      lines,
      passed,
      failed,
      notApplicable,
      verdict,
    ].map(String);
  });
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const format = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ");
  return [head, ...rows].map(format).join("\n");
}
