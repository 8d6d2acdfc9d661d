import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { VdcError } from "@vdc-os/core";
import { issueCertificate } from "../certificate/issue-certificate.ts";
import { readSigningKey } from "../certificate/signing-key.ts";
import type { CertificationReport } from "../certify/certification-report.ts";
import { certify } from "../certify/certify.ts";
import { formatHtml } from "../reports/html-report.ts";
import { formatJson } from "../reports/json-report.ts";
import { formatJunit } from "../reports/junit-report.ts";
import { formatTerminal } from "../reports/terminal-report.ts";
import type { Verdict } from "../suite/report.ts";
import { parseWaivers, type Waiver } from "../suite/waiver.ts";
import type { CommandLine } from "./run-command-line.ts";
import { EarlyEnd } from "./early-end.ts";
import { packFolder } from "./pack-folder.ts";
import { assertWritable, writeReport } from "./report-files.ts";
import { RunProgress } from "./run-progress.ts";
import { mayColor } from "./terminal.ts";

/** What was asked, as `parseArgs` found it. */
export interface CertifyFlags {
  readonly pack?: boolean | undefined;
  readonly plugin?: string | undefined;
  readonly factory?: readonly string[] | undefined;
  readonly waivers?: string | undefined;
  readonly transport?: string | undefined;
  readonly level?: string | undefined;
  readonly only?: string | undefined;
  readonly timeout?: string | undefined;
  readonly json?: string | undefined;
  readonly junit?: string | undefined;
  readonly html?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
  readonly quiet?: boolean | undefined;
}

const exitCodes: Readonly<Record<Verdict, number>> = { success: 0, failure: 1, partial: 3 };

/** Certifies a package, and writes the reports that were asked for. Returns the exit code. */
export async function runCertify(name: string, flags: CertifyFlags, line: CommandLine): Promise<number> {
  const { cwd, stdout, stderr, signal } = line;
  // A key that can't be used is told before the run, not after it.
  const key = flags.key === undefined ? undefined : await readSigningKey(resolve(cwd, flags.key));
  if (flags.certificate !== undefined && key === undefined) {
    throw new VdcError("INVALID_ARGUMENT", "a certificate needs '--key': make one with 'vdc-ready key'");
  }
  const folder = resolve(cwd, name);
  if (flags.pack === true && !isFolder(folder)) throw new VdcError("INVALID_ARGUMENT", "'--pack' is for a folder");
  if (flags.certificate !== undefined && isFolder(folder) && flags.pack !== true) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      "a certificate is for a tarball: give one, or '--pack' to have the folder packed",
    );
  }
  const files = {
    json: resolveIn(cwd, flags.json),
    junit: resolveIn(cwd, flags.junit),
    html: resolveIn(cwd, flags.html),
    certificate: resolveIn(cwd, flags.certificate),
  };
  await assertWritable(Object.values(files).filter((path) => path !== undefined));
  const tarball = flags.pack === true ? await packFolder(folder, { signal }) : undefined;
  const progress = flags.quiet === true ? undefined : new RunProgress(stderr);
  let report: CertificationReport;
  const early = new EarlyEnd(stderr, signal);
  try {
    report = await certify({
      package: tarball ?? name,
      // A tarball that was packed finds its dependencies where its folder does.
      cwd,
      modules: tarball === undefined ? undefined : folder,
      signal,
      plugin: flags.plugin,
      factories: parseFactories(flags.factory ?? []),
      transports: flags.transport === undefined ? undefined : [oneOf("transport", flags.transport, ["direct", "pipe"])],
      level: flags.level === undefined ? undefined : oneOf("level", flags.level, ["core", "extended"]),
      only: flags.only,
      timeoutMs: flags.timeout === undefined ? undefined : parseMilliseconds(flags.timeout),
      waivers: await readWaivers(name, flags.waivers, cwd),
      onBegin: (begin) => progress?.begin(begin),
      onResult: (result) => {
        early.passed(result.id);
        progress?.result(result);
      },
    });
  } finally {
    early[Symbol.dispose]();
    progress?.end();
  }
  const { subject, verdict } = report;
  if (flags.quiet === true) stdout.write(`${subject.name} ${subject.version}: ${verdict}\n`);
  else stdout.write(formatTerminal(report, { colors: mayColor(stdout, line.env) }));
  if (tarball !== undefined && flags.quiet !== true) {
    stdout.write(`What was certified, and is to be published, is '${relative(cwd, tarball)}'.\n`);
  }
  if (files.json !== undefined) await writeReport(files.json, formatJson(report));
  if (files.junit !== undefined) await writeReport(files.junit, formatJunit(report));
  if (files.html !== undefined) await writeReport(files.html, formatHtml(report));
  if (files.certificate !== undefined && key !== undefined) {
    if (verdict === "failure") {
      stderr.write("No certificate was written: a failure is not certified.\n");
    } else {
      const envelope = issueCertificate(report, { key });
      await writeReport(files.certificate, `${JSON.stringify(envelope)}\n`);
      stdout.write(`The certificate of ${verdict} is in '${flags.certificate}'.\n`);
    }
  }
  return exitCodes[verdict];
}

/** Waivers stand beside what is certified: in the folder, or, for a tarball or an installed package, where the command runs. */
async function readWaivers(name: string, given: string | undefined, cwd: string): Promise<readonly Waiver[]> {
  const folder = isFolder(resolve(cwd, name)) ? resolve(cwd, name) : cwd;
  const path = given === undefined ? join(folder, "vdc-ready.json") : resolve(cwd, given);
  if (given === undefined && !existsSync(path)) return [];
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new VdcError("NOT_FOUND", `'${path}' can't be read: ${(cause as Error).message}`, { cause });
  }
  return parseWaivers(text, path);
}

function resolveIn(cwd: string, path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(cwd, path);
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function parseFactories(given: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf("=");
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
      throw new VdcError("INVALID_ARGUMENT", `'--factory ${text}' must be as 'storage=./module.js'`);
    }),
  );
}

function parseMilliseconds(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new VdcError("INVALID_ARGUMENT", `'--timeout ${text}' must be milliseconds`);
}

function oneOf<const T extends string>(flag: string, value: string, values: readonly T[]): T {
  const found = values.find((one) => one === value);
  if (found !== undefined) return found;
  throw new VdcError("INVALID_ARGUMENT", `'--${flag} ${value}' must be one of ${values.join(", ")}`);
}
