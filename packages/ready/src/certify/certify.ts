import { resolve } from "node:path";
import { type Contract, coreVersion, VdcError } from "@vdc-os/core";
import { kitVersion } from "../kit-version.ts";
import { type RequirementResult, type SuiteReport, profilesOf, verdictOf } from "../suite/report.ts";
import { defaultTransports, runSuite } from "../suite/run-suite.ts";
import type { Instance, RequirementLevel } from "../suite/suite.ts";
import type { Transport } from "../suite/transport.ts";
import { applyWaiver, reportWaivers, type Waiver } from "../suite/waiver.ts";
import { createInstance, type FactoryModule, type InstanceFactory } from "./certification-kit.ts";
import { type CertificationReport, overallVerdict, reportFormat } from "./certification-report.ts";
import { type FoundPackage, findPackage } from "./find-package.ts";
import { generalRequirements } from "./general-requirements.ts";
import { type AnySuite, type KnownSuite, knownSuites } from "./known-suites.ts";
import { LeakRequirement, leakRequirement } from "./leak-requirement.ts";
import { importModule, inPackage, type LoadedPlugin, loadPlugin } from "./load-plugin.ts";

/** A point of an extension and how many requirements it is about to be held against. */
export interface SuiteBegin {
  readonly point: string;
  readonly contractVersion: string;
  readonly transport: Transport;
  readonly count: number;
}

/** Options of {@link certify}. */
export interface CertifyOptions {
  /** A folder, a tarball, or the name of a package that is installed where `cwd` is. */
  readonly package: string;
  /** Where paths and names are looked for. Defaults to the process's. */
  readonly cwd?: string | undefined;
  /** The folder in whose `node_modules` a tarball finds what it depends on. Defaults to `cwd`. */
  readonly modules?: string | undefined;
  /** The module of the plugin, as a path from `cwd`. Defaults to what the package says. */
  readonly plugin?: string | undefined;
  /** Modules that make what is certified, by the suite's name, as paths from `cwd`. They come before what the package names. */
  readonly factories?: Readonly<Record<string, string>> | undefined;
  /** Defaults to both. Certification needs both. */
  readonly transports?: readonly Transport[] | undefined;
  /** Only requirements whose id begins with this. Defaults to all. */
  readonly only?: string | undefined;
  /** Only requirements of one level. Defaults to both. */
  readonly level?: RequirementLevel | undefined;
  /** Requirements that are known not to be met. Defaults to none. */
  readonly waivers?: readonly Waiver[] | undefined;
  /** The time by which waivers expire. Defaults to that of the machine. */
  readonly now?: Date | undefined;
  /** How long each requirement, and each import, may take, in milliseconds. Defaults to `30_000`. */
  readonly timeoutMs?: number | undefined;
  /** Ends the run before the next requirement. */
  readonly signal?: AbortSignal | undefined;
  /** Told when a suite begins over a transport, and of each result. */
  readonly onBegin?: ((begin: SuiteBegin) => void) | undefined;
  readonly onResult?: ((result: RequirementResult) => void) | undefined;
}

/**
 * Certifies a package: finds its plugin, and runs the suite of each point that it provides, over both transports.
 *
 * What a suite needs beyond the plugin, such as a way to read a volume, comes from the author's factory: a module that the package names in
 * its package.json as `"vdcReady": { "storage": "./dist/certification.js" }`: a {@link FactoryModule}.
 *
 * Rejects when there is nothing to certify, or nothing of what `only` and `level` ask for. Whatever the plugin does wrong is in the report.
 *
 * @example
 * ```ts
 * const report = await certify({ package: "./my-plugin" });
 * console.log(report.verdict);
 * ```
 */
export async function certify(options: CertifyOptions): Promise<CertificationReport> {
  const { cwd = process.cwd(), now = new Date(), transports = defaultTransports } = options;
  const startedAt = performance.now();
  await using found = await findPackage(options.package, { cwd, modules: options.modules });
  const module = options.plugin === undefined ? undefined : resolve(cwd, options.plugin);
  const { timeoutMs } = options;
  const loaded = await loadPlugin(found, { module, timeoutMs });
  const suites: SuiteReport[] = [];
  const problems: string[] = [];
  const points = new Map(loaded.plugin.manifest.provides.map(({ point }) => [point.id, point.version]));
  checkNames(Object.keys(options.factories ?? {}));
  checkNames((options.waivers ?? []).map(({ requirement }) => requirement.split(".")[0] ?? ""));
  for (const [point, version] of points) {
    const known = knownSuites.find((suite) => suite.point === point);
    if (known === undefined) {
      problems.push(`the plugin provides '${point}', and the kit has no suite for that`);
      continue;
    }
    const suite = await known.load();
    if (suite.point.version !== version) {
      problems.push(
        `the plugin provides version ${version} of '${point}', and this kit certifies ${suite.point.version}: install the kit of the same release`,
      );
      continue;
    }
    const path = factoryPath(known, found, { ...options, cwd });
    if (path === undefined) {
      problems.push(
        `nothing makes what the suite of '${point}' certifies: name a module in package.json as "vdcReady": { "${known.name}": "./..." }`,
      );
      continue;
    }
    const { create, prepare } = await loadFactory(path, timeoutMs);
    let prepared: AsyncDisposable | undefined;
    try {
      prepared = await prepare?.();
    } catch (error) {
      problems.push(`what the suite of '${point}' needs could not be prepared: ${(error as Error).message}`);
      continue;
    }
    try {
      suites.push(await runKnown(suite, create, { ...options, now, transports, loaded }));
    } finally {
      await prepared?.[Symbol.asyncDispose]();
    }
  }
  if (suites.length > 0 && problems.length === 0 && suites.every(({ results }) => results.length === 0)) {
    const list = suites.map(({ point }) => `'vdc-ready list ${point}'`).join(", ");
    throw new VdcError("INVALID_ARGUMENT", `no requirement is among those that were asked for: see ${list}`);
  }
  const { kind, manifest, sha256, dirHash } = found;
  const { name, version } = loaded.plugin.manifest;
  // A kernel that asks for a certificate knows a plugin by its manifest, and its package by its package.json.
  if (kind !== "folder" && (name !== manifest.name || version !== manifest.version)) {
    const is = `'${manifest.name}' ${manifest.version}`;
    problems.push(`the plugin says that it is '${name}' ${version}, and its package is ${is}`);
  }
  if (points.size === 0) problems.push("the plugin provides no extension point");
  return {
    format: reportFormat,
    subject: { name: manifest.name, version: manifest.version, kind, sha256, dirHash },
    kitVersion,
    coreVersion,
    environment: `node ${process.versions.node} on ${process.platform} ${process.arch}`,
    startedAt: now.toISOString(),
    durationMs: Math.round(performance.now() - startedAt),
    complete:
      (options.only ?? "") === "" &&
      options.level === undefined &&
      defaultTransports.every((transport) => transports.includes(transport)),
    suites,
    problems,
    verdict: overallVerdict(suites, problems),
  };
}

interface RunKnownOptions extends CertifyOptions {
  readonly loaded: LoadedPlugin;
  readonly now: Date;
  readonly transports: readonly Transport[];
}

/** Runs a suite over each transport in turn, and looks at what each left behind. */
async function runKnown(
  known: AnySuite,
  factory: InstanceFactory<Instance<Contract>>,
  options: RunKnownOptions,
): Promise<SuiteReport> {
  const { loaded, now, transports, only = "", level, waivers = [], signal } = options;
  const suite = { ...known, requirements: [...known.requirements, ...generalRequirements(known.name)] };
  const { id: point, version: contractVersion } = suite.point;
  const create = inTime(createInstance(loaded, factory));
  const results: RequirementResult[] = [];
  let report: SuiteReport | undefined;
  const own = suite.requirements.filter(
    (requirement) => requirement.id.startsWith(only) && (level === undefined || requirement.level === level),
  );
  const { id: leakId } = leakRequirement(suite.name);
  const leaks = leakId.startsWith(only) && level !== "extended";
  const ours = waivers.filter(({ requirement }) => requirement !== leakId);
  for (const transport of transports) {
    options.onBegin?.({ point, contractVersion, transport, count: own.length + (leaks ? 1 : 0) });
    const leak = new LeakRequirement();
    report = await runSuite(suite, {
      create: () => {
        signal?.throwIfAborted();
        return create();
      },
      transports: [transport],
      only,
      level,
      waivers: ours,
      now,
      timeoutMs: options.timeoutMs,
      onResult: (result) => {
        signal?.throwIfAborted();
        results.push(result);
        options.onResult?.(result);
      },
    });
    if (!leaks) continue;
    const left = applyWaiver(await leak.result(suite, transport), { waivers, now });
    results.push(left);
    options.onResult?.(left);
  }
  return {
    point,
    contractVersion,
    description: report?.description,
    results,
    profiles: profilesOf(results),
    waivers: reportWaivers(
      waivers.filter(({ requirement }) => requirement.startsWith(`${suite.name}.`)),
      results,
    ),
    verdict: verdictOf(results),
  };
}

/** How many instances may be overdue before no more are made: each costs the time of a requirement, and the rest would hang as these do. */
const mostOverdue = 3;

function inTime<I>(create: () => Promise<I>): () => Promise<I> {
  let beingMade = 0;
  return async () => {
    // Requirements come one after the other: what is being made still was given up.
    if (beingMade >= mostOverdue) {
      throw new VdcError("DEADLINE_EXCEEDED", `not tried: ${mostOverdue} instances before it were not made in time`);
    }
    beingMade += 1;
    try {
      return await create();
    } finally {
      beingMade -= 1;
    }
  };
}

/** Refuses the names of suites that there are not. */
function checkNames(given: readonly string[]): void {
  const names = knownSuites.map(({ name }) => name);
  const unknown = given.filter((name) => !names.includes(name));
  if (unknown.length === 0) return;
  throw new VdcError("INVALID_ARGUMENT", `there is no suite '${unknown.join("', '")}': there are ${names.join(", ")}`);
}

function factoryPath(
  { name }: KnownSuite,
  { folder, manifest }: FoundPackage,
  { factories, cwd }: CertifyOptions & { readonly cwd: string },
): string | undefined {
  const given = factories?.[name];
  if (given !== undefined) return resolve(cwd, given);
  const named = manifest.vdcReady?.[name];
  return named === undefined ? undefined : inPackage(folder, named, `the factory of '${name}'`);
}

/** The factory of a module: `create`, or else the only function that it exports. */
async function loadFactory(path: string, timeoutMs: number | undefined): Promise<FactoryModule<Instance<Contract>>> {
  const exported = await importModule(path, { timeoutMs });
  const functions = [...new Set(Object.values(exported).filter((value) => typeof value === "function"))];
  const factory = exported.create ?? (functions.length === 1 ? functions[0] : undefined);
  const { prepare } = exported as Partial<FactoryModule<Instance<Contract>>>;
  if (typeof factory === "function") return { create: factory as InstanceFactory<Instance<Contract>>, prepare };
  throw new VdcError(
    "INVALID_ARGUMENT",
    `'${path}' must export a function 'create' that makes what the suite certifies, and exports ${functions.length} functions of other names`,
  );
}
